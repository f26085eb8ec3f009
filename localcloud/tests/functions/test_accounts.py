"""Which storage account a connection setting leads to."""

import pytest

from localcloud.functions.accounts import Accounts
from localcloud.functions.errors import StartRefused
from localcloud.storage.azurite import connection_string

LOCAL = connection_string({"blob": 10000, "queue": 10001, "table": 10002})


@pytest.mark.parametrize("name", ["Store", "AzureWebJobsStore", "ConnectionStrings__Store"])
async def test_a_setting_may_stand_under_three_names(name: str) -> None:
    accounts = Accounts({name: LOCAL})

    client = accounts.queues("Store", function="f")

    assert client.url == "http://127.0.0.1:10001/devstoreaccount1/"
    assert accounts.queues("Store", function="g") is client
    await accounts.close()


async def test_without_a_name_the_account_is_the_hosts_own() -> None:
    accounts = Accounts({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})

    client = accounts.blobs("", function="f")

    assert client.url == "http://127.0.0.1:10000/devstoreaccount1/"
    await accounts.close()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (
            {"S__blobServiceUri": "https://a.blob.core.windows.net"},
            "https://a.blob.core.windows.net/",
        ),
        ({"S__accountName": "shop"}, "https://shop.blob.core.windows.net/"),
    ],
)
async def test_a_service_or_an_account_by_name_asks_for_an_identity(
    environ: dict[str, str], url: str
) -> None:
    accounts = Accounts(environ)

    client = accounts.blobs("S", function="f")

    assert client.url == url
    assert type(client.credential).__name__ == "DefaultAzureCredential"
    await accounts.close()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "neither the setting 'S' nor 'S__queueServiceUri' is set"),
        ({"S": "nonsense"}, "the setting 'S' is no connection string"),
    ],
)
def test_a_connection_that_leads_nowhere_is_refused(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(StartRefused, match="function 'f'") as refused:
        Accounts(environ).queues("S", function="f")
    assert reason in str(refused.value)


def test_an_emulator_is_wanted_where_nothing_else_is_set() -> None:
    accounts = Accounts(
        {"Dev": "UseDevelopmentStorage=true;", "Real": LOCAL, "Id__accountName": "a"}
    )

    assert accounts.want_an_emulator(["Real", "Id", "Dev"])
    assert accounts.want_an_emulator([""])
    assert not accounts.want_an_emulator(["Real", "Id"])
