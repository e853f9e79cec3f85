"""Drives the providers of the official credentials package at the simulator, and lists workspaces with what they give.

Usage: credentials.py HOST:PORT. One line a check; ends with their number, or with 1 at the first that fails.
"""

import json
import os
import shutil
import sys
import tempfile
import urllib.request

ENDPOINT = sys.argv[1]
HOST, PORT = ENDPOINT.rsplit(":", 1)
HOME = tempfile.mkdtemp()
# The package reads its environment when it is imported: nothing of the machine's is to be found in it.
for name in [name for name in os.environ if name.startswith("ALIBABA_CLOUD_") or name.lower().endswith("_proxy")]:
    del os.environ[name]
os.environ["HOME"] = HOME

from Tea.core import TeaCore  # noqa: E402

plain = TeaCore.do_action


def at_the_simulator(request, runtime_option=None):
    """Sends what is meant for STS or the metadata service to the simulator: neither address can be set otherwise."""
    if request.headers.get("host") != HOST:
        assert request.headers["host"] == "100.100.100.200" or request.headers["host"].startswith("sts"), request.headers
        request.headers["host"] = HOST
    request.port = int(PORT)
    request.protocol = "http"
    return plain(request, runtime_option)


TeaCore.do_action = at_the_simulator

from alibabacloud_credentials import provider as p  # noqa: E402
from alibabacloud_credentials.exceptions import CredentialException  # noqa: E402
from alibabacloud_credentials.utils import auth_constant, auth_util  # noqa: E402
from alibabacloud_emr_serverless_spark20230808 import models as m  # noqa: E402
from alibabacloud_emr_serverless_spark20230808.client import Client  # noqa: E402
from alibabacloud_tea_openapi.utils_models import Config  # noqa: E402

ROLE = "acs:ram::1234567890123456:role/reader"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"
checks = 0


def check(name, got, expected):
    global checks
    if got != expected:
        sys.exit(f"FAILED {name}\n  got      {got!r}\n  expected {expected!r}")
    checks += 1
    print(f"ok {name}", flush=True)


def identity(**change):
    data = json.dumps(change).encode()
    request = urllib.request.Request(f"http://{ENDPOINT}/sim/v1/identity", data=data, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        return json.load(response)


def served(issuer):
    return identity()["served"][issuer]


def serves(name, provider, issuer, count=1):
    """The provider gives keys, asks this issuer for them, and the simulated API takes them."""
    before = served(issuer)
    keys = provider.get_credentials()
    check(f"{name}: asked", served(issuer) - before, count)
    check(f"{name}: a temporary key", (keys.get_access_key_id()[:7], bool(keys.get_security_token())), ("STS.sim", True))
    listing = lists(keys)
    check(f"{name}: the keys serve", len(listing().body.workspaces) > 0, True)
    return listing


def lists(keys):
    client = Client(
        Config(
            endpoint=ENDPOINT,
            protocol="HTTP",
            region_id="cn-hangzhou",
            access_key_id=keys.get_access_key_id(),
            access_key_secret=keys.get_access_key_secret(),
            security_token=keys.get_security_token(),
            no_proxy=HOST,
        )
    )
    return lambda: client.list_workspaces(m.ListWorkspacesRequest(region_id="cn-hangzhou"))


def fails(name, call, part):
    try:
        call()
    except Exception as error:  # noqa: BLE001
        check(f"{name}: {part}", part in str(error), True)
        return
    sys.exit(f"FAILED {name}: no error")


def write(name, text):
    path = os.path.join(HOME, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def static():
    return p.StaticAKCredentialsProvider(access_key_id="sim-access-key-id", access_key_secret="sim-access-key-secret")


def role(source=None, **more):
    return p.RamRoleArnCredentialsProvider(credentials_provider=source or static(), role_arn=ROLE, **more)


def oidc(token_file):
    return p.OIDCRoleArnCredentialsProvider(role_arn=ROLE, oidc_provider_arn=PROVIDER, oidc_token_file_path=token_file)


def judge_roles():
    serves("ram_role_arn", role(role_session_name="judge", policy='{"Version":"1"}', duration_seconds=900), "AssumeRole")
    serves("ram_role_arn in a chain", role(role()), "AssumeRole", 2)
    sts = p.StaticSTSCredentialsProvider(
        access_key_id="STS.sim-access-key-id", access_key_secret="sim-sts-secret", security_token="sim-security-token"
    )
    serves("ram_role_arn from a temporary key", role(sts), "AssumeRole")
    identity(external_id="id-42")
    serves("an external id", role(external_id="id-42"), "AssumeRole")
    fails("no external id", role().get_credentials, "NoPermission")
    identity(external_id="")
    wrong = p.StaticAKCredentialsProvider(access_key_id="sim-access-key-id", access_key_secret="wrong")
    fails("a wrong secret", role(wrong).get_credentials, "SignatureDoesNotMatch")
    nobody = p.StaticAKCredentialsProvider(access_key_id="nobody", access_key_secret="x")
    fails("an unknown key", role(nobody).get_credentials, "InvalidAccessKeyId.NotFound")
    identity(refuse="AssumeRole", status=503, code="ServiceUnavailable")
    fails("refused", role().get_credentials, "ServiceUnavailable")
    identity(allow="AssumeRole")


def judge_oidc():
    token = write("token", "sim-oidc-token")
    serves("oidc", oidc(token), "AssumeRoleWithOIDC")
    identity(oidc_token="rotated")
    fails("an old token", oidc(token).get_credentials, "AuthenticationFail.OIDCToken.Expired")
    write("token", "rotated")
    serves("a rotated token", oidc(token), "AssumeRoleWithOIDC")
    identity(oidc_token="sim-oidc-token")


def ecs(**more):
    return p.EcsRamRoleCredentialsProvider(async_update_enabled=False, **more)


def judge_metadata():
    for modes in ("both", "token_only", "plain_only", "token_useless"):
        identity(metadata=modes)
        serves(f"ecs_ram_role, {modes}", ecs(), "Metadata")
        serves(f"ecs_ram_role by name, {modes}", ecs(role_name="sim-node-role"), "Metadata")
    identity(metadata="plain_only")
    fails("ecs_ram_role, v1 disabled", ecs(disable_imds_v1=True).get_credentials, "404")
    identity(metadata="both")
    serves("ecs_ram_role, v1 disabled", ecs(disable_imds_v1=True), "Metadata")
    fails("another role", ecs(role_name="other").get_credentials, "404")


def judge_uri():
    provider = p.URLCredentialsProvider(uri=f"http://{ENDPOINT}/credentials-uri")
    listing = serves("credentials_uri", provider, "CredentialsUri")
    identity(expire_issued=True)
    fails("expired keys", listing, "InvalidSecurityToken.Expired")
    identity(revoke_issued=True)
    fails("revoked keys", listing, "InvalidAccessKeyId.NotFound")


CLI = {
    "current": "ak",
    "profiles": [
        {"name": "ak", "mode": "AK", "access_key_id": "sim-access-key-id", "access_key_secret": "sim-access-key-secret"},
        {
            "name": "role",
            "mode": "RamRoleArn",
            "access_key_id": "sim-access-key-id",
            "access_key_secret": "sim-access-key-secret",
            "ram_role_arn": ROLE,
            "ram_session_name": "cli",
        },
        {"name": "chain", "mode": "ChainableRamRoleArn", "ram_role_arn": ROLE, "ram_session_name": "x1", "source_profile": "role"},
        {"name": "ecs", "mode": "EcsRamRole", "ram_role_name": "sim-node-role"},
    ],
}
INI = f"""
[default]
type = ram_role_arn
access_key_id = sim-access-key-id
access_key_secret = sim-access-key-secret
role_arn = {ROLE}
role_session_name = ini
"""


def judge_profiles():
    file = write("config.json", json.dumps(CLI))

    def cli(name):
        return p.CLIProfileCredentialsProvider(profile_name=name, profile_file=file)

    check("profile: AK", len(lists(cli("ak").get_credentials())().body.workspaces) > 0, True)
    serves("profile: RamRoleArn", cli("role"), "AssumeRole")
    serves("profile: ChainableRamRoleArn", cli("chain"), "AssumeRole", 2)
    serves("profile: EcsRamRole", cli("ecs"), "Metadata")
    serves("profile: credentials.ini", p.ProfileCredentialsProvider(profile_file=write("c.ini", INI)), "AssumeRole")


def judge_chain():
    """Which source serves, as one after the other is taken away: the order of the official chain."""
    auth_constant.HOME = HOME
    auth_util.environment_access_key_id = "sim-access-key-id"
    auth_util.environment_access_key_secret = "sim-access-key-secret"
    auth_util.environment_role_arn = ROLE
    auth_util.environment_oidc_provider_arn = PROVIDER
    auth_util.environment_oidc_token_file = write("token", "sim-oidc-token")
    auth_util.enable_oidc_credential = True
    auth_util.environment_credentials_uri = f"http://{ENDPOINT}/credentials-uri"
    config = write(".aliyun/config.json", json.dumps({**CLI, "current": "chain"}))
    ini = write(".alibabacloud/credentials.ini", INI)
    order = []
    for take_away in (
        lambda: setattr(auth_util, "environment_access_key_id", None),
        lambda: setattr(auth_util, "enable_oidc_credential", False),
        lambda: os.remove(config),
        lambda: os.remove(ini),
        lambda: setattr(auth_util, "environment_ecs_metadata_disabled", "true"),
        lambda: setattr(auth_util, "environment_credentials_uri", None),
    ):
        keys = p.DefaultCredentialsProvider().get_credentials()
        check("the chain's keys serve", len(lists(keys)().body.workspaces) > 0, True)
        order.append(keys.get_provider_name().split("/")[1])
        take_away()
    check("the chain's order", order, ["env", "oidc_role_arn", "cli_profile", "profile", "ecs_ram_role", "credential_uri"])
    try:
        p.DefaultCredentialsProvider().get_credentials()
    except CredentialException as error:
        check("none serves", "unable to load credentials from any" in str(error), True)


def main():
    judge_roles()
    judge_oidc()
    judge_metadata()
    judge_uri()
    judge_profiles()
    judge_chain()
    print(f"{checks} checks passed", flush=True)


main()
shutil.rmtree(HOME)
# The package's own background threads are not waited for.
os._exit(0)
