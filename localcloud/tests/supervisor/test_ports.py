import socket

import pytest

from localcloud import ports


def test_without_a_base_every_part_has_its_documented_port() -> None:
    assert ports.assign(ports.DEFAULTS) == {
        "postgres": 5433,
        "valkey": 6380,
        "servicebus": 5672,
        "servicebus-admin": 5300,
        "blob": 10000,
        "queue": 10001,
        "table": 10002,
        "identity": 7080,
        "eventgrid": 7081,
        "communication": 7082,
        "keyvault": 7083,
        "erp": 7090,
        "payment": 7091,
        "shipping": 7092,
        "notifier": 7100,
        "gateway-external": 8080,
        "gateway-internal": 8081,
        "functions": 7071,
        "durable": 17071,
        "dashboard": 8090,
    }


def test_a_base_moves_every_port_by_the_same_distance() -> None:
    assert ports.assign(["functions", "durable"], 6000) == {"functions": 8071, "durable": 18071}


@pytest.mark.parametrize("base", [-1, 1, 999, 48001, 70000])
def test_a_base_that_leaves_the_range_of_ports_is_refused(base: int) -> None:
    with pytest.raises(ValueError, match="a port base is 0 or lies between 1000 and 48000"):
        ports.assign(["functions"], base)


def test_the_widest_bases_give_ports_that_exist() -> None:
    for base in (ports.LOWEST_BASE, ports.HIGHEST_BASE):
        chosen = ports.assign(ports.DEFAULTS, base).values()
        assert all(1024 < port < 65536 for port in chosen)


def test_base_0_gives_each_name_a_free_port_of_its_own() -> None:
    chosen = ports.assign(ports.DEFAULTS, 0)
    assert len(set(chosen.values())) == len(ports.DEFAULTS)
    assert all(ports.is_free(port) for port in chosen.values())


def test_the_holder_of_a_taken_port_is_named() -> None:
    with socket.socket() as listener:
        listener.bind((ports.HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.holder(port).startswith("pid ")
    assert ports.is_free(port)
