"""What people and applications were told holds after the process was killed."""

from pathlib import Path

import httpx

from localcloud.tests.identity.application import Application, brought
from localcloud.tests.identity.conftest import MODULE
from localcloud.tests.partners.part import running, start


async def test_sessions_grants_and_registrations_survive_a_kill(tmp_path: Path) -> None:
    with running(MODULE, tmp_path) as part:
        async with httpx.AsyncClient(base_url=part.url, trust_env=False) as http:
            portal = Application(http)
            hanna = {"name": "Hanna", "username": "hanna@example.com", "password": "long enough"}
            code = brought(await portal.submit(hanna))["code"]
            tokens = (await portal.redeem(code)).json()
            used = (await portal.refresh(tokens["refresh_token"])).json()
            pending = brought(await portal.visit())["code"]
            part.kill()

            again = start(MODULE, tmp_path, port=part.port)
            silent = await portal.visit(prompt="none")
            redeemed = await portal.redeem(pending)
            refreshed = await portal.refresh(used["refresh_token"])
            repeated = await portal.redeem(code)
            by_password = await portal.submit(hanna | {"name": ""}, prompt="login")
            there = await portal.submit(
                {"username": "hanna@example.com", "password": "long enough"}
            )
            again.kill()
            assert again.process.stdout is not None
            again.process.stdout.close()

    assert "code" in brought(silent)
    assert (redeemed.status_code, refreshed.status_code) == (200, 200)
    assert (repeated.status_code, repeated.json()["error_codes"]) == (400, [54005])
    assert by_password.status_code == 400
    assert "code" in brought(there)
