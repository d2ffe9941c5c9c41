"""lib/deploy/aws: the template is valid, careful, and makes what the containers need.

Nothing of it is deployed: cfn-lint and checkov read it, moto plays AWS. A service is started with
exactly the variables that moto's Fargate would give it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest
import yaml
from checkers import PROGRAMS, answer, checker

from starwise.paths import project_root

FOLDER = project_root() / "lib" / "deploy" / "aws"
TEMPLATE = FOLDER / "starwise.yaml"
REGIONS = ["eu-central-1", "us-east-1"]


class _Template(yaml.SafeLoader):
    """YAML with CloudFormation's short names of functions: `!Ref Name` is {"Ref": "Name"}."""


def _function(loader: _Template, suffix: str, node: yaml.Node):
    kinds = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    value = kinds[type(node)](node, **({"deep": True} if type(node) is yaml.SequenceNode else {}))
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Template.add_multi_constructor("!", _function)


@pytest.fixture(scope="module")
def template() -> dict:
    return yaml.load(TEMPLATE.read_text(), _Template)


def of_kind(template: dict, kind: str) -> dict[str, dict]:
    found = {n: r for n, r in template["Resources"].items() if r["Type"] == f"AWS::{kind}"}
    assert found, kind
    return found


# ---- What can be read off the template, everywhere ----------------------------------------------


def test_no_secret_is_a_parameter_a_variable_or_an_output(template):
    for name, parameter in template["Parameters"].items():
        assert not re.search("password|secret|token", name, re.IGNORECASE)
        assert parameter["Description"]
    for task in of_kind(template, "ECS::TaskDefinition").values():
        for container in task["Properties"]["ContainerDefinitions"]:
            for variable in container.get("Environment", []):
                assert not re.search("PASSWORD|TOKEN|SECRET", variable["Name"])
                assert "Secret" not in json.dumps(variable["Value"])
                assert "resolve" not in json.dumps(variable["Value"])
    for output in template["Outputs"].values():
        assert "resolve" not in json.dumps(output)


def test_only_the_load_balancer_is_open_to_the_internet(template):
    for name, group in of_kind(template, "EC2::SecurityGroup").items():
        rules = group["Properties"].get("SecurityGroupIngress", [])
        open_to_all = [rule["FromPort"] for rule in rules if "0.0.0.0/0" in str(rule)]
        assert open_to_all == ([443, 80] if name == "BalancerGroup" else [])
        # A group without rules for the way out may call anybody.
        assert group["Properties"]["SecurityGroupEgress"], name
    for rule in of_kind(template, "EC2::SecurityGroupIngress").values():
        assert "CidrIp" not in rule["Properties"]
    for service in of_kind(template, "ECS::Service").values():
        network = service["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "DISABLED"
        assert network["Subnets"] == [{"Ref": "PrivateA"}, {"Ref": "PrivateB"}]
    assert template["Resources"]["Database"]["Properties"]["PubliclyAccessible"] is False


def test_nothing_leads_from_the_private_half_to_the_internet(template):
    routes = of_kind(template, "EC2::Route")
    assert [route["Properties"]["RouteTableId"] for route in routes.values()] == [
        {"Ref": "PublicRoutes"}
    ]
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert "AWS::EC2::NatGateway" not in kinds


def test_the_service_is_opened_by_its_parameter_only(template):
    assert template["Parameters"]["PublicApi"]["Default"] == "no"
    for name in ("ApiRule", "ApiName", "ApiTargets", "BalancerToApi", "BalancerOutToApi"):
        assert template["Resources"][name]["Condition"] == "OpenApi"


def test_a_visitor_stays_with_their_dashboard(template):
    attributes = template["Resources"]["DashboardTargets"]["Properties"]["TargetGroupAttributes"]
    assert {"Key": "stickiness.enabled", "Value": "true"} in attributes
    assert {"Key": "stickiness.type", "Value": "lb_cookie"} in attributes


def test_reviews_outlive_a_mistake(template):
    database = template["Resources"]["Database"]
    assert database["DeletionPolicy"] == database["UpdateReplacePolicy"] == "Snapshot"
    assert database["Properties"]["StorageEncrypted"] is True
    assert template["Parameters"]["DeletionProtection"]["Default"] == "true"
    assert template["Parameters"]["BackupDays"]["Default"] >= 7
    assert template["Resources"]["DatabaseSecret"]["DeletionPolicy"] == "Retain"


def test_every_log_is_forgotten_in_time(template):
    for group in of_kind(template, "Logs::LogGroup").values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogDays"}


def test_a_role_may_do_nothing_to_everything(template):
    for role in of_kind(template, "IAM::Role").values():
        assert "ManagedPolicyArns" not in role["Properties"]
        for policy in role["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                assert "*" not in json.dumps(actions)
                assert statement["Resource"] != "*" or actions == "ecr:GetAuthorizationToken"
    for task in of_kind(template, "ECS::TaskDefinition").values():
        assert "TaskRoleArn" not in task["Properties"]  # nothing to be had from within


def test_containers_are_read_only_and_nobody_in_particular(template):
    for task in of_kind(template, "ECS::TaskDefinition").values():
        (container,) = task["Properties"]["ContainerDefinitions"]
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "1000"
        assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert "Digest}" in container["Image"]["Fn::Sub"]


def test_the_page_describes_every_parameter_and_marks_what_was_not_done(template):
    page = (FOLDER / "README.md").read_text()
    for name in template["Parameters"]:
        assert f"`{name}`" in page, name
    assert "has not been deployed" in page


def costs() -> dict[str, list[float]]:
    """Return each line of the page's table: price, units and dollars at rest, and with visitors."""
    lines = (FOLDER / "README.md").read_text().splitlines()
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines if "|" in line]
    wanted = [row for row in rows if len(row) == 6 and re.fullmatch(r"[\d.]+", row[1])]
    return {what: [float(number) for number in numbers] for what, *numbers in wanted}


def test_the_costs_on_the_page_add_up_also_by_the_readers_own_command(project):
    for what, (price, units, month, busy_units, busy_month) in costs().items():
        assert abs(month - price * units) <= 0.51, what
        assert abs(busy_month - price * busy_units) <= 0.51, what
    page = (FOLDER / "README.md").read_text()
    command = re.search(r"^awk .*?README\.md$", page, re.MULTILINE | re.DOTALL)[0]
    said = subprocess.run(["sh", "-c", command], cwd=project, capture_output=True, text=True).stdout
    sums = [float(number) for number in re.findall(r"\d+", said)]
    total = re.search(r"\*\*a month, about\*\*.*\*\*(\d+)\*\*.*\*\*(\d+)\*\*", page).groups()
    assert [round(one, -1) for one in sums] == [float(one) for one in total]


def test_the_units_on_the_page_are_those_of_the_template(template):
    units = {what: at_rest for what, (_, at_rest, *_) in costs().items()}
    tasks = of_kind(template, "ECS::TaskDefinition").values()
    hours = 730
    for what, size in (("vCPU-hours", "Cpu"), ("GB-hours of memory", "Memory")):
        each = sum(int(task["Properties"][size]) for task in tasks) / 1024
        assert units[f"Fargate, {what}"] == hours * each
    endpoints = of_kind(template, "EC2::VPCEndpoint").values()
    paid = [one for one in endpoints if one["Properties"]["VpcEndpointType"] == "Interface"]
    assert units["endpoints, hours"] == hours * len(paid)
    assert units["secrets"] == len(of_kind(template, "SecretsManager::Secret"))
    assert units["alarms"] == len(of_kind(template, "CloudWatch::Alarm"))
    defaults = {name: one.get("Default") for name, one in template["Parameters"].items()}
    assert units["database storage, GB"] == int(defaults["DatabaseStorage"])
    assert units[f"database {defaults['DatabaseClass']}, hours"] == hours


# ---- What the checkers say ----------------------------------------------------------------------


def test_cfn_lint_has_nothing_to_say(tmp_path):
    run = checker("cfn-lint", "--regions", *REGIONS, "--template", TEMPLATE)
    assert run.returncode == 0, run.stdout
    broken = tmp_path / "broken.yaml"
    broken.write_text(TEMPLATE.read_text().replace("!Ref DashboardGroup", "!Ref Nobody", 1))
    assert "Nobody" in checker("cfn-lint", "--template", broken).stdout


def checkov(path: Path) -> dict:
    how = ["--framework", "cloudformation", "--output", "json", "--skip-download", "--quiet"]
    # By its Python: the first line of its script does not bear a folder with a space in its name.
    run = checker("python", PROGRAMS / "checkov", "--file", path, *how)
    return json.loads(run.stdout)


def test_checkov_finds_nothing_that_is_not_waived_with_its_reason(template, tmp_path):
    report = checkov(TEMPLATE)
    assert report["summary"]["failed"] == 0, report["results"]
    waived = [
        (name, entry["id"], entry["comment"])
        for name, resource in template["Resources"].items()
        for entry in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert all(len(reason) > 15 for _, _, reason in waived)
    # It does look: without the waivers each of these is a finding, and so is a careless change.
    careless = TEMPLATE.read_text().replace("StorageEncrypted: true", "StorageEncrypted: false")
    careless = re.sub(r"    Metadata:\n      checkov:\n(?: {8,}.*\n)+", "", careless)
    (tmp_path / "careless.yaml").write_text(careless)
    found = checkov(tmp_path / "careless.yaml")["results"]["failed_checks"]
    seen = {(check["resource"].rpartition(".")[2], check["check_id"]) for check in found}
    assert ("Database", "CKV_AWS_16") in seen
    stale = {(name, check) for name, check, _ in waived} - seen
    assert not stale, "waived, but not found: remove the waiver"


# ---- What moto makes of it ----------------------------------------------------------------------

# What moto's CloudFormation leaves out; play_aws.py makes the first five in another way.
NOT_PLAYED = {
    "Secret", "HttpNamespace", "Certificate", "DBParameterGroup", "DBSubnetGroup",
    "SecurityGroupIngress", "SecurityGroupEgress", "ScalableTarget", "ScalingPolicy", "WebACL",
    "WebACLAssociation", "Alarm", "Budget",
}  # fmt: skip


@pytest.fixture(scope="module")
def stack() -> dict:
    return answer(Path(__file__).parent / "play_aws.py", "{}")


@pytest.fixture(scope="module")
def whole_stack() -> dict:
    everything = {"PublicApi": "yes", "AlarmEmail": "me@example.com", "EndpointZones": "two"}
    return answer(Path(__file__).parent / "play_aws.py", json.dumps(everything))


def test_the_stack_is_made(stack, whole_stack, template):
    assert stack["status"] == whole_stack["status"] == "CREATE_COMPLETE"
    assert stack["outputs"]["Page"] == "https://reviews.example.com/"
    left_out = set(template["Resources"]) - set(whole_stack["made"])
    kinds = {template["Resources"][name]["Type"].rpartition("::")[2] for name in left_out}
    assert kinds <= NOT_PLAYED, kinds - NOT_PLAYED
    assert {"ApiRule", "ApiName", "ApiTargets"} <= set(whole_stack["made"]) - set(stack["made"])


def test_who_may_call_whom_as_made(stack):
    groups = {group["GroupId"]: group for group in stack["groups"]}
    names = {number: group["GroupName"].split("-")[1:2] for number, group in groups.items()}

    def callers(name):
        (group,) = (g for g in groups.values() if f"-{name}-" in g["GroupName"])
        return {
            (rule["FromPort"], *names[pair["GroupId"]])
            for rule in group["IpPermissions"]
            for pair in rule["UserIdGroupPairs"]
        }

    assert callers("DatabaseGroup") == {(5432, "ApiGroup")}
    assert callers("ApiGroup") == {(8000, "DashboardGroup")}
    assert callers("DashboardGroup") == {(8866, "BalancerGroup")}


def container_of(stack: dict, name: str) -> dict:
    (container,) = (
        container
        for task in stack["tasks"]
        for container in task["containerDefinitions"]
        if container["name"] == name
    )
    return container


def variables(stack: dict, name: str) -> dict[str, str]:
    """Return the environment that Fargate would give a container, secrets included."""
    container = container_of(stack, name)
    found = {entry["name"]: entry["value"] for entry in container["environment"]}
    for entry in container.get("secrets", []):
        arn, key = re.fullmatch(r"((?:[^:]+:){6}[^:]+)(?::(\w+)::)?", entry["valueFrom"]).groups()
        secret = stack["secrets"][arn]
        found[entry["name"]] = json.loads(secret)[key] if key else secret
    return found


def test_the_dashboard_is_told_no_secret(stack):
    known = variables(stack, "dashboard")
    assert known["STARWISE_API_URL"] == "http://api:8000"
    for secret in stack["secrets"].values():
        for word in [secret, *(json.loads(secret).values() if secret.startswith("{") else [])]:
            assert word not in known.values()


def test_the_service_runs_on_the_variables_of_its_task(stack, debian_postgres, tmp_path):
    """A managed Postgres is another Postgres: only where it lies is replaced by where ours does."""
    given = variables(stack, "api")
    assert given["DATABASE_URL"] == "postgresql://" and len(given["PGPASSWORD"]) == 40
    address = debian_postgres.new_database()
    user, password, host, port, database = re.fullmatch(
        r"postgresql://(\w+):([^@]+)@([\d.]+):(\d+)/(\w+)", address
    ).groups()
    ours = {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGPASSWORD": password}
    ours |= {"PGDATABASE": database, "PGSSLMODE": "prefer"}  # ours speaks no TLS
    assert set(ours) <= set(given)
    container = container_of(stack, "api")
    python, *start = [*container["entryPoint"], *container["command"]]
    assert (python, start[-1]) == ("python3", "8000")
    start[start.index("0.0.0.0")] = "127.0.0.1"
    service = subprocess.Popen(
        [sys.executable, "-P", *start[:-1], "0"],
        env={"PATH": os.environ["PATH"], "STARWISE_OUTPUTS": str(tmp_path), **given, **ours},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        at = service.stdout.readline().split()[-1]
        review = {"id": str(uuid.uuid4()), "brand": "B", "review": "Lovely people.", "rating": 5}
        request = urllib.request.Request(
            f"{at}/api/reviews", json.dumps(review).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as saved:
            assert saved.status == 201
        listing = urllib.request.Request(
            f"{at}/api/reviews",
            headers={"authorization": f"Bearer {given['STARWISE_ADMIN_TOKEN']}"},
        )
        with urllib.request.urlopen(listing, timeout=60) as page:
            assert [row["id"] for row in json.load(page)["reviews"]] == [review["id"]]
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(30)
