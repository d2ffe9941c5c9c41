"""Make the stack of lib/deploy/aws on moto, which plays AWS, and print what came of it as JSON.

python lib/tests/play_aws.py '{"PublicApi": "yes"}'

test_aws.py runs it in the environment of the checkers, which is why it imports nothing of ours.
"""

import json
import os
import sys
from pathlib import Path

import boto3
from cfnlint.decode import decode
from moto import mock_aws

TEMPLATE = Path(__file__).parents[1] / "deploy" / "aws" / "starwise.yaml"
REGION, DOMAIN = "eu-central-1", "reviews.example.com"


def client(service):
    return boto3.client(service, region_name=REGION)


def playable():
    """Return the template without what moto's CloudFormation cannot do, done in its other ways.

    It makes no secret, no namespace and no certificate from a template, so they are made as the
    template says and handed in as parameters; and it stumbles over a database with settings of its
    own.
    """
    template, problems = decode(str(TEMPLATE))
    assert not problems, problems
    resources = template["Resources"]
    for name in [n for n, r in resources.items() if r["Type"] == "AWS::SecretsManager::Secret"]:
        wanted = resources.pop(name)["Properties"]["GenerateSecretString"]
        names = ("PasswordLength", "ExcludePunctuation")
        password = client("secretsmanager").get_random_password(**{n: wanted[n] for n in names})
        value = password["RandomPassword"]
        if "GenerateStringKey" in wanted:
            value = json.loads(wanted["SecretStringTemplate"]) | {
                wanted["GenerateStringKey"]: value
            }
            value = json.dumps(value)
        arn = client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"]
        template["Parameters"][name] = {"Type": "String", "Default": arn}
    client("servicediscovery").create_http_namespace(Name="starwise")
    certificate = client("acm").request_certificate(DomainName=DOMAIN, ValidationMethod="DNS")
    for name, value in (("Names", "starwise"), ("Certificate", certificate["CertificateArn"])):
        del resources[name]
        template["Parameters"][name] = {"Type": "String", "Default": value}
    del resources["Database"]["Properties"]["DBParameterGroupName"]
    return json.dumps(template).replace('{"Fn::GetAtt": ["Names", "Arn"]}', '{"Ref": "Names"}')


@mock_aws
def main(changes):
    zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="once")
    parameters = {
        "DomainName": DOMAIN,
        "HostedZoneId": zone["HostedZone"]["Id"].rpartition("/")[2],
        "ApiDigest": "sha256:" + "a" * 64,
        "DashboardDigest": "sha256:" + "b" * 64,
        **changes,
    }
    cloud = client("cloudformation")
    cloud.create_stack(
        StackName="starwise",
        TemplateBody=playable(),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = cloud.describe_stacks(StackName="starwise")["Stacks"][0]
    resources = cloud.describe_stack_resources(StackName="starwise")["StackResources"]
    made = {
        "status": stack["StackStatus"],
        "outputs": {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]},
        "made": [
            resource["LogicalResourceId"]
            for resource in resources
            if "PhysicalResourceId" in resource
        ],
        "databases": client("rds").describe_db_instances()["DBInstances"],
        "secrets": {
            secret["ARN"]: client("secretsmanager").get_secret_value(SecretId=secret["ARN"])[
                "SecretString"
            ]
            for secret in client("secretsmanager").list_secrets()["SecretList"]
        },
        "groups": client("ec2").describe_security_groups()["SecurityGroups"],
        "route tables": client("ec2").describe_route_tables()["RouteTables"],
        "tasks": [
            client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
            for arn in client("ecs").list_task_definitions()["taskDefinitionArns"]
        ],
        "logs": client("logs").describe_log_groups()["logGroups"],
    }
    print(json.dumps(made, default=str))


if __name__ == "__main__":
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = "played"  # whoever runs this may have real ones
    os.environ.pop("AWS_PROFILE", None)
    main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
