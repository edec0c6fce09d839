"""The resources of template.yaml, for each way of authentication and each choice that changes resources."""

import json
import re
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase as fnmatch
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

import lamdb
from lamdb.errors import SettingsError
from lamdb.settings import Settings
from lamdb.storage.ltx.files import KeyLayout
from lamdb.storage.stores.objectstore import PUBLISHED

from .stack import (
    AUTH_MODES,
    NESTED,
    VARIANTS,
    monitoring,
    of_type,
    passed,
    source,
    stack,
    text_of,
    translate,
    whole,
)

FUNCTIONS = ("Proxy", "Reader", "Writer")
PUBLISHING = ("publisher", "publisher-arn", "publisher-scheduled")


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Rights


def statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role.get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def test_only_the_writer_may_write_to_the_bucket(variant: str) -> None:
    reading = {"s3:GetObject", "s3:ListBucket"}
    rights = {
        name: {action for rule in statements(role) for action in actions(rule) if action.startswith("s3:")}
        for name, role in of_type(stack(variant), "AWS::IAM::Role").items()
    }
    assert rights.pop("WriterRole") == reading | {
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
    }
    assert rights.pop("ReaderRole") == reading
    if variant in PUBLISHING:
        # One object, as the next test says.
        assert rights.pop("PublisherRole") == reading | {"s3:PutObject"}
    assert all(not granted for granted in rights.values()), "no other role may touch the bucket at all"


def test_rights_on_objects_end_at_the_prefix_and_listing_has_no_condition(variant: str) -> None:
    """A condition on `s3:prefix` is not met by GetObject: S3 would answer 403 for a missing key, not 404."""
    for role in of_type(stack(variant), "AWS::IAM::Role").values():
        for rule in statements(role):
            if "s3:ListBucket" in actions(rule):
                assert actions(rule) == ["s3:ListBucket"]
                assert rule["Resource"]["Fn::Sub"][0].endswith(":s3:::${Bucket}")
                assert "Condition" not in rule
            elif rule["Sid"] == "NoteProgress":
                assert rule["Resource"]["Fn::Sub"][0].endswith(
                    f":s3:::${{Bucket}}/${{StorePrefix}}/{PUBLISHED}"
                )
            elif any(action.startswith("s3:") for action in actions(rule)):
                assert rule["Resource"]["Fn::Sub"][0].endswith(":s3:::${Bucket}/${StorePrefix}/*")


def test_no_right_is_wider_than_it_must_be(variant: str) -> None:
    for name, role in of_type(stack(variant), "AWS::IAM::Role").items():
        for rule in statements(role):
            assert rule["Effect"] == "Allow"
            assert not [action for action in actions(rule) if "*" in action]
            # X-Ray knows no resources.
            assert rule["Resource"] != "*" or all(action.startswith("xray:") for action in actions(rule))
        assert ("ManagedPolicyArns" in role) == (name == "DeploymentRole")


def test_each_function_has_its_own_role_log_and_name(variant: str) -> None:
    resources = stack(variant)
    logs = of_type(resources, "AWS::Logs::LogGroup")
    for name in FUNCTIONS:
        function = of_type(resources, "AWS::Lambda::Function")[f"{name}Function"]
        assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        assert function["LoggingConfig"] == {
            "LogGroup": {"Ref": f"{name}Logs"},
            "LogFormat": "JSON",
            "SystemLogLevel": "WARN",
        }
        assert logs[f"{name}Logs"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == function["FunctionName"]


def test_the_proxy_may_call_the_two_others_and_nothing_else(variant: str) -> None:
    rules = list(statements(of_type(stack(variant), "AWS::IAM::Role")["ProxyRole"]))
    called = [resource for rule in rules if rule["Sid"] == "Call" for resource in rule["Resource"]]
    assert [re.sub(r".*\$\{AWS::StackName\}-", "", each["Fn::Sub"]) for each in called] == [
        "reader:live",
        "writer:live",
    ]
    queue = {"QueueWrites"} if variant.startswith("writes-") else set()
    assert {rule["Sid"] for rule in rules} <= {"Call", "Log", "Trace"} | queue


def test_the_reader_is_not_told_what_only_the_writer_needs() -> None:
    functions = of_type(stack("IAM"), "AWS::Lambda::Function")
    variables = {name: set(functions[f"{name}Function"]["Environment"]["Variables"]) for name in FUNCTIONS}
    # The proxy knows the store's name for `sam local`; its role may not open it on AWS.
    assert {"LAMDB_STORE"} <= variables["Proxy"]
    assert {"LAMDB_STORE"} <= variables["Reader"] < variables["Writer"]


# The bucket


def test_the_bucket_is_versioned_private_and_outlives_the_stack() -> None:
    for variant in ("IAM", "kms"):
        resources = stack(variant)["Resources"]
        bucket = resources["DataBucket"]
        # A first deployment that fails leaves no bucket behind.
        assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
        assert bucket["UpdateReplacePolicy"] == "Retain"
        properties = bucket["Properties"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        # An event on the data bucket would make a cycle of bucket, function and policy.
        assert "NotificationConfiguration" not in properties
        assert resources["DataBucketPolicy"]["DeletionPolicy"] == "RetainExceptOnCreate"


def bucket_rules() -> dict[str, dict[str, Any]]:
    policy = of_type(stack("IAM"), "AWS::S3::BucketPolicy")["DataBucketPolicy"]
    return {rule["Sid"]: rule for rule in policy["PolicyDocument"]["Statement"]}


def test_the_bucket_answers_over_tls_only() -> None:
    rule = bucket_rules()["TlsOnly"]
    assert (rule["Effect"], rule["Principal"], rule["Action"]) == ("Deny", "*", "s3:*")
    assert rule["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(rule["Resource"]) == 2, "the bucket and what is in it"


def test_no_program_can_overwrite_a_commit() -> None:
    rule = bucket_rules()["CommitsAreCreateOnly"]
    assert (rule["Effect"], rule["Principal"], rule["Action"]) == ("Deny", "*", "s3:PutObject")
    assert rule["Resource"] == {"Fn::Sub": "${DataBucket.Arn}/${StorePrefix}/0000/*"}
    assert KeyLayout("{:04x}/").key(0, 1, 1).startswith("0000/")
    # Both must hold: no condition, and a request that makes the object (not a part of an upload).
    assert rule["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_idle_stacks_have_no_dashboard_unless_it_is_asked_for() -> None:
    assert source()["Parameters"]["Dashboard"]["Default"] == "false"


def test_failures_of_the_api_itself_do_not_claim_that_nothing_was_done(variant: str) -> None:
    for answer in ("INTEGRATION_FAILURE", "DEFAULT_5XX"):
        text = body(stack(variant))["x-amazon-apigateway-gateway-responses"][answer]["responseTemplates"]
        error = json.loads(text["application/json"].replace("$context.error.messageString", '""'))["errors"][
            0
        ]
        assert error["extensions"]["retryable"] is False
        assert "idempotency key" in error["extensions"]["hint"]


def test_no_rule_ends_the_life_of_a_current_version() -> None:
    rules = of_type(stack("IAM"), "AWS::S3::Bucket")["DataBucket"]["LifecycleConfiguration"]["Rules"]
    allowed = {"NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker"}
    assert {key for rule in rules for key in rule} - {"Id", "Status"} == allowed


def test_an_existing_bucket_is_used_and_left_as_it_is() -> None:
    template = stack("existing-bucket")
    assert not of_type(template, "AWS::S3::Bucket")
    assert not of_type(template, "AWS::S3::BucketPolicy")
    store = of_type(template, "AWS::Lambda::Function")["WriterFunction"]["Environment"]["Variables"][
        "LAMDB_STORE"
    ]
    assert store == {"Fn::Sub": ["s3://${Bucket}/${StorePrefix}", {"Bucket": {"Ref": "ExistingBucket"}}]}


def test_a_kms_key_encrypts_the_bucket_and_the_functions_may_use_it() -> None:
    template = stack("kms")
    (rule,) = of_type(template, "AWS::S3::Bucket")["DataBucket"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    roles = of_type(template, "AWS::IAM::Role")
    used = {
        name: sorted(
            action for rule in statements(roles[name]) for action in actions(rule) if "kms" in action
        )
        for name in ("ProxyRole", "ReaderRole", "WriterRole")
    }
    assert used == {
        "ProxyRole": [],
        "ReaderRole": ["kms:Decrypt"],
        "WriterRole": ["kms:Decrypt", "kms:GenerateDataKey"],
    }


# The API


SECURITY = {"IAM": [{"iam": []}], "COGNITO": [{"cognito": []}], "API_KEY": [{"key": []}], "NONE": []}


def body(template: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = of_type(template, "AWS::ApiGateway::RestApi")["Api"]["Body"]
    return described


def operations(template: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in body(template)["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


@pytest.mark.parametrize("mode", AUTH_MODES)
@pytest.mark.parametrize("suffix", ["", "-direct"])
def test_every_operation_demands_what_the_mode_says(mode: str, suffix: str) -> None:
    template = stack(mode + suffix)
    demanded = {path: operation["security"] for path, _, operation in operations(template)}
    paths = {"/", "/graphql", "/{proxy+}"} | ({"/reader", "/writer"} if suffix else set())
    assert demanded == {**dict.fromkeys(paths, SECURITY[mode]), "/admin/graphql": SECURITY["IAM"]}
    schemes = body(template)["components"]["securitySchemes"]
    assert set(schemes) == {"iam", *(name for requirement in SECURITY[mode] for name in requirement)}


def test_operators_sign_their_requests_whatever_others_do(variant: str) -> None:
    asked = {(path, method): rule for path, method, rule in operations(stack(variant)) if "admin" in path}
    assert list(asked) == [("/admin/graphql", "post")], "no other method, and no preflight"
    (rule,) = asked.values()
    assert rule["security"] == [{"iam": []}]
    scheme = body(stack(variant))["components"]["securitySchemes"]["iam"]
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"


def granted(policy: dict[str, Any], action: str) -> list[str]:
    """The paths, names or references that a policy allows an action on."""
    rules = [rule for rule in policy["PolicyDocument"]["Statement"] if rule["Action"] == action]
    resources = [
        each
        for rule in rules
        for each in (rule["Resource"] if isinstance(rule["Resource"], list) else [rule["Resource"]])
    ]
    return [
        re.sub(r".*/\$\{StageName\}/", "", each.get("Fn::Sub", each.get("Ref", ""))) for each in resources
    ]


def test_only_the_operators_policy_lets_operate(variant: str) -> None:
    """`*` in a policy stands for slashes too."""
    policies = of_type(stack(variant), "AWS::IAM::ManagedPolicy")
    operator = policies.pop("OperatorPolicy")
    assert granted(operator, "execute-api:Invoke") == ["POST/admin/graphql"]
    assert granted(operator, "lambda:InvokeFunction") == [
        "ReaderFunctionAliaslive",
        "WriterFunctionAliaslive",
    ]
    assert granted(operator, "cloudformation:DescribeStacks") == ["AWS::StackId"]
    for policy in policies.values():
        patterns = granted(policy, "execute-api:Invoke")
        assert patterns
        assert not [each for each in patterns if fnmatch("POST/admin/graphql", each)]
        for rule in policy["PolicyDocument"]["Statement"][1:]:
            # Only by a function URL, which has no route of operators.
            assert rule["Condition"] in (
                {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
                {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
            )


def test_the_policy_for_callers_lets_them_do_what_they_could(variant: str) -> None:
    policies = of_type(stack(variant), "AWS::IAM::ManagedPolicy")
    if "CallPolicy" in policies:
        patterns = granted(policies["CallPolicy"], "execute-api:Invoke")
        for path in ("GET/graphql", "POST/graphql", "GET/health", "GET/", "GET/reader", "POST/writer"):
            assert any(fnmatch(path, pattern) for pattern in patterns), path


def test_the_schemes_are_the_ones_api_gateway_knows() -> None:
    schemes = {
        mode: body(stack(mode))["components"]["securitySchemes"][next(iter(SECURITY[mode][0]))]
        for mode in AUTH_MODES[:3]
    }
    assert schemes["IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert schemes["COGNITO"]["x-amazon-apigateway-authorizer"] == {
        "type": "cognito_user_pools",
        "providerARNs": [{"Ref": "CognitoUserPoolArn"}],
    }
    assert schemes["API_KEY"]["name"] == "x-api-key"


def test_only_the_page_and_preflight_are_public_for_browsers() -> None:
    demanded = {(path, method): rule["security"] for path, method, rule in operations(stack("browser"))}
    public = {place for place, security in demanded.items() if not security}
    assert public == {("/", "get"), ("/graphiql/{proxy+}", "get"), ("/graphql", "options")}


@pytest.mark.parametrize("variant", ["studio", "studio-key"])
def test_of_the_studio_only_the_page_is_public(variant: str) -> None:
    demanded = {(path, method): rule["security"] for path, method, rule in operations(stack(variant))}
    assert {place for place, security in demanded.items() if not security} == {
        ("/studio", "get"),
        ("/studio/{proxy+}", "get"),
    }
    wanted = SECURITY[VARIANTS[variant]["AuthMode"]]
    assert demanded["/studio/session", "get"] == demanded["/studio/v3/pipeline", "post"] == wanted
    proxy = of_type(stack(variant), "AWS::Lambda::Function")["ProxyFunction"]
    assert proxy["Environment"]["Variables"]["LAMDB_STUDIO"] == "auto"
    assert "StudioUrl" in stack(variant)["Outputs"]


def test_without_its_parameter_there_is_no_studio() -> None:
    assert not [path for path, _, _ in operations(stack("browser")) if path.startswith("/studio")]
    proxy = of_type(stack("browser"), "AWS::Lambda::Function")["ProxyFunction"]
    assert proxy["Environment"]["Variables"]["LAMDB_STUDIO"] == "off"


def test_with_a_search_key_the_search_endpoint_is_public() -> None:
    """Its requests are subject to the function: it wants a token that is signed."""
    demanded = {(path, method): rule["security"] for path, method, rule in operations(stack("search"))}
    public = {path for (path, _), security in demanded.items() if not security}
    assert public == {"/search", "/graphql"}
    assert demanded["/graphql", "x-amazon-apigateway-any-method"]
    assert "/search" not in {path for path, _, _ in operations(stack("IAM"))}


def test_every_deployment_of_the_stack_is_one_of_the_api_too() -> None:
    """Else a stage would go on serving what another AuthMode had described."""
    first = set(of_type(translate({}), "AWS::ApiGateway::Deployment"))
    time.sleep(1.1)  # SAM names them by the second.
    assert first != set(of_type(translate({}), "AWS::ApiGateway::Deployment"))


def test_the_description_of_the_api_is_openapi(variant: str) -> None:
    # Two things API Gateway adds to the standard: paths with any tail, and operations of any method.
    described = json.loads(text_of(body(stack(variant))).replace("{proxy+}", "{proxy}"))
    for item in described["paths"].values():
        if (operation := item.pop("x-amazon-apigateway-any-method", None)) is not None:
            item["post"] = operation
    described["info"]["title"] = "a reference until it is deployed"
    assert [error.message for error in OpenAPIV30SpecValidator(described).iter_errors()] == []


def test_each_route_leads_to_its_function(variant: str) -> None:
    for path, _, operation in operations(stack(variant)):
        integration = operation["x-amazon-apigateway-integration"]
        function = {"/reader": "Reader", "/writer": "Writer"}.get(path, "Proxy")
        assert integration["uri"]["Fn::Sub"][1] == {"Function": {"Ref": f"{function}FunctionAliaslive"}}
        # API Gateway calls functions by POST, whatever it was asked by.
        assert (integration["type"], integration["httpMethod"]) == ("aws_proxy", "POST")


def test_the_api_may_call_each_function_by_its_routes() -> None:
    """The proxy's `*/*` includes GraphiQL's files and preflights. A missing route calls nothing."""
    permissions = [
        (rule["FunctionName"]["Ref"], rule["SourceArn"]["Fn::Sub"][0].partition("${__Stage__}/")[2])
        for rule in of_type(stack("IAM"), "AWS::Lambda::Permission").values()
        if rule["Principal"] == "apigateway.amazonaws.com"
    ]
    assert ("ProxyFunctionAliaslive", "*/*") in permissions
    reached = {
        name: [route for each, route in permissions if each == f"{name}FunctionAliaslive"]
        for name in FUNCTIONS
    }
    assert (reached["Reader"], reached["Writer"]) == (["*/reader"], ["*/writer"])


def test_policies_to_hand_out_exist_where_signatures_are_checked(variant: str) -> None:
    mode = VARIANTS[variant].get("AuthMode", "IAM")
    direct = VARIANTS[variant].get("DirectRoutes") == "true"
    policies = of_type(stack(variant), "AWS::IAM::ManagedPolicy")
    assert ("CallPolicy" in policies) == (mode == "IAM")
    assert ("ReadOnlyPolicy" in policies) == (mode == "IAM" and direct)
    if "ReadOnlyPolicy" in policies:
        assert text_of(policies["ReadOnlyPolicy"]).count("${StageName}/*/reader") == 1


# Function URLs


def wants_url(variant: str) -> bool:
    return VARIANTS[variant].get("FunctionUrl") == "true"


def is_direct(variant: str) -> bool:
    return VARIANTS[variant].get("DirectRoutes") == "true"


def test_the_proxy_and_with_direct_routes_the_reader_have_a_function_url(variant: str) -> None:
    urls = of_type(stack(variant), "AWS::Lambda::Url")
    named = ["Proxy", "Reader"] if is_direct(variant) else ["Proxy"]
    wanted = named if wants_url(variant) else []
    assert {name: url["TargetFunctionArn"] for name, url in urls.items()} == {
        f"{name}FunctionUrl": {"Ref": f"{name}FunctionAliaslive"} for name in wanted
    }
    mode = VARIANTS[variant].get("AuthMode", "IAM")
    assert {url["AuthType"] for url in urls.values()} <= {{"IAM": "AWS_IAM"}.get(mode, mode)}
    # Answers to preflights are the function's: a second set of the headers would be refused by browsers.
    assert not [name for name, url in urls.items() if "Cors" in url]
    outputs = stack(variant)["Outputs"].keys() & {"FunctionUrl", "ReaderFunctionUrl"}
    assert len(outputs) == len(urls)


def test_a_function_url_of_anyone_has_both_permissions_and_one_of_iam_has_none(variant: str) -> None:
    """AWS has required more than `lambda:InvokeFunctionUrl` since October 2025."""
    permissions = [
        rule
        for rule in of_type(stack(variant), "AWS::Lambda::Permission").values()
        if rule["Principal"] == "*"
    ]
    public = wants_url(variant) and VARIANTS[variant].get("AuthMode") == "NONE"
    functions = ["Proxy", "Reader"] if is_direct(variant) else ["Proxy"]
    assert len(permissions) == (2 * len(functions) if public else 0)
    for function in functions if public else []:
        alias = {"FunctionName": {"Ref": f"{function}FunctionAliaslive"}, "Principal": "*"}
        assert {**alias, "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"} in permissions
        # Without the condition anybody could invoke the function itself, as an operator.
        assert {**alias, "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True} in permissions


def test_callers_may_invoke_functions_by_their_urls_only(variant: str) -> None:
    policies = of_type(stack(variant), "AWS::IAM::ManagedPolicy")
    reader, proxy = ({"Ref": f"{name}FunctionAliaslive"} for name in ("Reader", "Proxy"))
    expected = {"CallPolicy": [proxy, reader] if is_direct(variant) else [proxy], "ReadOnlyPolicy": reader}
    for name in policies.keys() & expected.keys():
        rules = {
            rule["Action"]: (rule["Resource"], rule["Condition"])
            for rule in policies[name]["PolicyDocument"]["Statement"]
            if rule["Action"].startswith("lambda:")
        }
        by_url = {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}
        via_url = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
        assert rules == (
            {
                "lambda:InvokeFunctionUrl": (expected[name], by_url),
                "lambda:InvokeFunction": (expected[name], via_url),
            }
            if wants_url(variant)
            else {}
        )


def test_groups_are_those_of_a_user_pool_and_reach_every_function() -> None:
    names = ["CognitoReadGroups", "CognitoWriteGroups", "CognitoAdminGroups"]
    rule = source()["Rules"]["GroupsAreOfAUserPool"]
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AuthMode"}, "COGNITO"]}]}
    assert [each["Assert"] for each in rule["Assertions"]] == [
        {"Fn::Equals": [{"Ref": name}, ""]} for name in names
    ]
    for function in of_type(stack("COGNITO-direct"), "AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        given = [variables[f"LAMDB_{kind}_GROUPS"] for kind in ("READ", "WRITE", "ADMIN")]
        assert given == [{"Ref": name} for name in names]


def test_a_function_url_is_refused_where_it_could_not_check_who_asks() -> None:
    rule = source()["Rules"]["FunctionUrlNeedsIamOrNone"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "FunctionUrl"}, "true"]}
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Contains": [["IAM", "NONE"], {"Ref": "AuthMode"}]}
    assert "COGNITO" not in assertion["Assert"]["Fn::Contains"][0]


def test_a_studio_that_nobody_could_use_is_refused() -> None:
    rule = source()["Rules"]["StudioNeedsAKeyOrTokenAndSql"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Studio"}, "true"]}
    assert [each["Assert"] for each in rule["Assertions"]] == [
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "AuthMode"}, "IAM"]}]},
        {"Fn::Equals": [{"Ref": "SqlEndpoint"}, "true"]},
        {
            "Fn::Or": [
                {"Fn::Equals": [{"Ref": "AuthMode"}, "COGNITO"]},
                {"Fn::Equals": [{"Ref": "SqlRole"}, "admin"]},
            ]
        },
    ]


def test_keys_belong_to_a_plan_of_the_stage(variant: str) -> None:
    kinds = ("AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlan", "AWS::ApiGateway::UsagePlanKey")
    found = [len(of_type(stack(variant), kind)) for kind in kinds]
    assert found == ([1, 1, 1] if VARIANTS[variant].get("AuthMode") == "API_KEY" else [0, 0, 0])


# Functions


def test_there_is_one_writer_unless_the_account_is_too_small() -> None:
    writers = {
        variant: of_type(stack(variant), "AWS::Lambda::Function")["WriterFunction"]
        for variant in ("IAM", "new-account")
    }
    assert writers["IAM"]["ReservedConcurrentExecutions"] == {"Ref": "WriterReservedConcurrency"}
    assert source()["Parameters"]["WriterReservedConcurrency"]["Default"] == 1
    assert "ReservedConcurrentExecutions" not in writers["new-account"]


def test_the_writer_moves_at_once_and_is_neither_snapshot_nor_kept_warm() -> None:
    def configuration(variant: str, name: str) -> str:
        group = of_type(stack(variant), "AWS::CodeDeploy::DeploymentGroup")[f"{name}FunctionDeploymentGroup"]
        return text_of(group["DeploymentConfigName"])

    assert "Canary10Percent5Minutes" in configuration("canary", "Proxy")
    assert "Canary10Percent5Minutes" in configuration("canary", "Reader")
    assert "AllAtOnce" in configuration("canary", "Writer")
    functions = of_type(stack("snapstart"), "AWS::Lambda::Function")
    assert [name for name in functions if "SnapStart" in functions[name]] == [
        "ProxyFunction",
        "ReaderFunction",
    ]
    aliases = of_type(stack("warm"), "AWS::Lambda::Alias")
    warm = {name for name in aliases if "ProvisionedConcurrencyConfig" in aliases[name]}
    assert warm == {"ProxyFunctionAliaslive", "ReaderFunctionAliaslive"}


def test_a_change_of_the_layer_alone_is_a_new_version_of_each_function() -> None:
    functions = [
        each for each in source()["Resources"].values() if each["Type"] == "AWS::Serverless::Function"
    ]
    assert [each["Properties"].get("AutoPublishAliasAllProperties") for each in functions] == [True] * 4


def test_schedules_call_with_an_envelope_and_report_failures(variant: str) -> None:
    schedules = of_type(stack(variant), "AWS::Scheduler::Schedule")
    inputs = {
        schedule["Target"]["Arn"]["Ref"]: schedule["Target"]["Input"] for schedule in schedules.values()
    }
    if variant in PUBLISHING:
        # The next call goes on from the same place, within a minute: none has to be repeated or reported.
        assert json.loads(inputs.pop("PublisherFunctionAliaslive")) == {"lamdb": {"operation": "publish"}}
        assert "DeadLetterConfig" not in schedules["PublisherFunctionCatchUp"]["Target"]
        schedules = {name: each for name, each in schedules.items() if name != "PublisherFunctionCatchUp"}
    assert {name: json.loads(call) for name, call in inputs.items()} == {
        "ReaderFunctionAliaslive": {"lamdb": {"operation": "verify", "litestream": True}},
        "WriterFunctionAliaslive": {"lamdb": {"operation": "maintenance"}},
    }
    plan = {name: (schedule["State"], schedule["ScheduleExpression"]) for name, schedule in schedules.items()}
    parameter = {"WriterFunctionMaintenance": "MaintenanceSchedule", "ReaderFunctionVerify": "VerifySchedule"}
    assert plan == {
        name: ("ENABLED", {"Ref": own})
        if VARIANTS[variant].get(own) != "never"
        else ("DISABLED", "rate(1 day)")
        for name, own in parameter.items()
    }
    failures = {"Fn::GetAtt": ["FailuresQueue", "Arn"]}
    for schedule in schedules.values():
        assert schedule["Target"]["DeadLetterConfig"] == {"Arn": failures}
    invoked = of_type(stack(variant), "AWS::Lambda::EventInvokeConfig")
    repeated = [each for name, each in invoked.items() if not name.startswith("Publisher")]
    assert [each["DestinationConfig"]["OnFailure"]["Destination"] for each in repeated] == [failures] * 2


# The publisher


def test_without_a_bus_there_is_no_publisher(variant: str) -> None:
    template = stack(variant)
    of_publisher = {name for name in template["Resources"] if "Publish" in name or name == "CommitsRule"}
    assert bool(of_publisher) == (variant in PUBLISHING)
    on_commit = {"CommitsRule", "CommitsMayInvokePublisher"}
    assert of_publisher & on_commit == (on_commit if variant in {"publisher", "publisher-arn"} else set())
    assert (
        "DataBucket" in template["Resources"]
        and "NotificationConfiguration" in text_of(template["Resources"]["DataBucket"])
    ) == (variant == "publisher")
    assert ("PublisherFunctionName" in template["Outputs"]) == (variant in PUBLISHING)
    if variant not in PUBLISHING:
        assert "-publisher" not in text_of(template["Resources"])


@pytest.mark.parametrize(
    ("variant", "bus"),
    [
        (
            "publisher",
            {
                "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/"
                "${PublishChanges}"
            },
        ),
        ("publisher-arn", {"Ref": "PublishChanges"}),
    ],
)
def test_only_the_publisher_sends_events_and_to_one_bus(variant: str, bus: Any) -> None:
    found = {
        name: rule["Resource"]
        for name, role in of_type(stack(variant), "AWS::IAM::Role").items()
        for rule in statements(role)
        if any(action.startswith("events:") for action in actions(rule))
    }
    assert found == {"PublisherRole": bus}


def test_commits_invoke_the_publisher_and_its_own_writes_do_not() -> None:
    template = stack("publisher")
    rule = of_type(template, "AWS::Events::Rule")["CommitsRule"]
    assert "EventBusName" not in rule, "S3 sends to the default bus"
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    (key,) = rule["EventPattern"]["detail"]["object"]["key"]
    prefix = key["prefix"]["Fn::Sub"].removeprefix("${StorePrefix}/")
    assert KeyLayout("{:04x}/").key(0, 1, 1).startswith(prefix)
    assert not KeyLayout("{:04x}/").key(1, 1, 1).startswith(prefix)
    assert not PUBLISHED.startswith(prefix)
    (target,) = rule["Targets"]
    assert json.loads(target["Input"]) == {"lamdb": {"operation": "publish"}}
    permission = of_type(template, "AWS::Lambda::Permission")["CommitsMayInvokePublisher"]
    assert permission["FunctionName"] == target["Arn"] == {"Ref": "PublisherFunctionAliaslive"}
    assert permission["SourceArn"] == {"Fn::GetAtt": ["CommitsRule", "Arn"]}


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("PublishSource", "lamdb", True),
        ("PublishSource", "aws.s3", False),
        ("PublishSource", "awsome.shop", True),
        ("PublishChanges", "", True),
        ("PublishChanges", "a/b.c_d-e", True),
        ("PublishChanges", "arn:aws:events:eu-central-1:123456789012:event-bus/shop", True),
        ("PublishChanges", "arn:aws:sqs:eu-central-1:123456789012:shop", False),
        ("PublishModels", "Order,Item2", True),
        ("PublishModels", "Order, Item", False),
    ],
)
def test_what_is_published_where_is_checked_before_it_is_deployed(name: str, value: str, fits: bool) -> None:
    pattern = source()["Parameters"][name]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) == fits
    field = {"PublishSource": "publish_source", "PublishChanges": "publish_bus"}.get(name)
    if field is not None:
        try:
            Settings.load({f"LAMDB_{field.upper()}": value})
        except SettingsError:
            assert not fits
        else:
            assert fits


def test_the_bucket_tells_of_commits_where_changes_are_published() -> None:
    bucket = of_type(stack("publisher"), "AWS::S3::Bucket")["DataBucket"]
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_the_publisher_has_a_role_a_log_and_an_alarm_of_its_own() -> None:
    template = stack("publisher")
    function = of_type(template, "AWS::Lambda::Function")["PublisherFunction"]
    assert function["Role"] == {"Fn::GetAtt": ["PublisherRole", "Arn"]}
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": "PublisherLogs"}
    assert "ReservedConcurrentExecutions" not in function, "small accounts have none to reserve"
    given = function["Environment"]["Variables"]
    assert given["LAMDB_PUBLISH_BUS"] == {"Ref": "PublishChanges"}
    assert function["Timeout"] > Settings().publish_seconds + 5
    (dimension,) = of_type(whole("publisher"), "AWS::CloudWatch::Alarm")["PublisherErrorsAlarm"]["Dimensions"]
    assert dimension["Value"] == function["FunctionName"]


# Events of other services


def queue_rights(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rules = statements(of_type(template, "AWS::IAM::Role")["WriterRole"])
    return {rule["Sid"]: rule for rule in rules}


EVENTS = ("queue", "bus", "buckets", "table", "events")


def test_without_events_there_is_nothing_of_them(variant: str) -> None:
    template = stack(variant)
    mappings = of_type(template, "AWS::Lambda::EventSourceMapping")
    dead = of_type(template, "AWS::SQS::Queue").keys() & {"EventDeadLetters"}
    variables = of_type(template, "AWS::Lambda::Function")["WriterFunction"]["Environment"]["Variables"]
    granted = queue_rights(template).keys()
    if variant in EVENTS:
        assert mappings
        assert dead
        assert variables["LAMDB_DEAD_LETTERS"] == {"Ref": "EventDeadLetters"}
        assert queue_rights(template)["SetAside"]["Resource"] == {"Fn::GetAtt": ["EventDeadLetters", "Arn"]}
    elif variant.startswith("writes-"):
        assert mappings.keys() == {"WritesMapping"}
        assert dead
        assert not of_type(template, "AWS::Events::Rule")
    else:
        assert not mappings
        assert not dead
        assert of_type(template, "AWS::Events::Rule").keys() <= {"CommitsRule"}
        assert "LAMDB_DEAD_LETTERS" not in variables
        assert not granted & {"TakeMessages", "SetAside", "FollowTable", "FindStream"}


@pytest.mark.parametrize("variant", EVENTS)
def test_services_are_asked_to_report_failed_records_one_by_one(variant: str) -> None:
    for mapping in of_type(stack(variant), "AWS::Lambda::EventSourceMapping").values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["FunctionName"] == {"Ref": "WriterFunctionAliaslive"}


def proxy_rights(template: dict[str, Any]) -> dict[str, Any]:
    statements = of_type(template, "AWS::IAM::Role")["ProxyRole"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    return {each["Sid"]: each for each in statements}


@pytest.mark.parametrize("variant", ["writes-auto", "writes-queued"])
def test_writes_have_a_queue_of_their_own_to_which_the_proxy_may_send(variant: str) -> None:
    template = stack(variant)
    queues = of_type(template, "AWS::SQS::Queue")
    arn = {"Fn::GetAtt": ["WritesQueue", "Arn"]}
    assert queues["WritesQueue"]["FifoQueue"] is True
    assert queues["WritesQueue"]["VisibilityTimeout"] == {"Ref": "WriterTimeout"}
    assert queues["WritesQueue"]["RedrivePolicy"]["deadLetterTargetArn"] == {
        "Fn::GetAtt": ["EventDeadLetters", "Arn"]
    }
    assert "EventsQueue" not in queues
    mapping = of_type(template, "AWS::Lambda::EventSourceMapping")["WritesMapping"]
    assert (mapping["EventSourceArn"], mapping["BatchSize"]) == (arn, 1)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    sends = [each for each in proxy_rights(template).values() if "sqs" in str(each["Action"])]
    assert [(each["Action"], each["Resource"]) for each in sends] == [("sqs:SendMessage", arn)]
    takes = queue_rights(template)["TakeWrites"]
    assert takes["Resource"] == arn
    # The last is for the event source mapping, the others are what `lamdb.cluster.aws.sqs_api` asks for.
    assert set(takes["Action"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
    }
    for function, has in (("ProxyFunction", True), ("WriterFunction", True), ("ReaderFunction", False)):
        variables = of_type(template, "AWS::Lambda::Function")[function]["Environment"]["Variables"]
        assert variables.get("LAMDB_WRITE_QUEUE") == ({"Ref": "WritesQueue"} if has else None)


@pytest.mark.parametrize("variant", ["IAM", "queue", "events"])
def test_without_queued_writes_the_proxy_has_no_queue(variant: str) -> None:
    template = stack(variant)
    assert "WritesQueue" not in of_type(template, "AWS::SQS::Queue")
    assert not any("sqs" in str(each["Action"]) for each in proxy_rights(template).values())
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert "LAMDB_WRITE_QUEUE" not in function.get("Environment", {}).get("Variables", {})


@pytest.mark.parametrize(
    ("variant", "reserved"), [("writes-auto", {"Ref": "ProxyReservedConcurrency"}), ("IAM", None)]
)
def test_proxies_may_be_bounded(variant: str, reserved: Any) -> None:
    function = of_type(stack(variant), "AWS::Lambda::Function")["ProxyFunction"]
    assert function.get("ReservedConcurrentExecutions") == reserved


@pytest.mark.parametrize("variant", ["queue", "bus", "buckets", "events"])
def test_messages_wait_in_a_queue_with_an_order(variant: str) -> None:
    template = stack(variant)
    queue = of_type(template, "AWS::SQS::Queue")["EventsQueue"]
    assert queue["FifoQueue"] is queue["ContentBasedDeduplication"] is True
    # Lambda refuses a mapping whose function may run for longer than that.
    assert queue["VisibilityTimeout"] == {"Ref": "WriterTimeout"}
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["EventDeadLetters", "Arn"]}
    assert of_type(template, "AWS::SQS::Queue")["EventDeadLetters"]["FifoQueue"] is True
    mapping = of_type(template, "AWS::Lambda::EventSourceMapping")["QueueMapping"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert queue_rights(template)["TakeMessages"]["Resource"] == {"Fn::GetAtt": ["EventsQueue", "Arn"]}


def test_rules_send_to_the_queue_in_one_group_and_report_what_they_cannot_send() -> None:
    template = stack("events")
    rules = of_type(template, "AWS::Events::Rule")
    assert rules["EventsRule"]["EventPattern"] == {
        "source": {"Fn::Split": [",", {"Ref": "EventSources"}]},
        "detail-type": {"Fn::Split": [",", {"Ref": "EventDetailTypes"}]},
    }
    assert "detail-type" not in of_type(stack("bus"), "AWS::Events::Rule")["EventsRule"]["EventPattern"]
    assert rules["ObjectsRule"]["EventPattern"]["detail"] == {"bucket": {"name": {"Ref": "MirroredBuckets"}}}
    policies = of_type(template, "AWS::SQS::QueuePolicy")
    for policy in ("EventQueuesPolicy", "FailuresQueuePolicy"):
        allowed = [
            rule for rule in policies[policy]["PolicyDocument"]["Statement"] if rule["Effect"] == "Allow"
        ]
        assert [rule["Condition"]["ArnEquals"]["aws:SourceArn"] for rule in allowed] == [
            {"Fn::GetAtt": ["EventsRule", "Arn"]},
            {"Fn::GetAtt": ["ObjectsRule", "Arn"]},
        ]
        assert {rule["Action"] for rule in allowed} == {"sqs:SendMessage"}
    for rule in rules.values():
        (target,) = rule["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": ["EventsQueue", "Arn"]}
        assert target["SqsParameters"] == {"MessageGroupId": "lamdb"}
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["FailuresQueue", "Arn"]}}


def test_a_table_is_followed_from_its_beginning_with_rights_on_its_stream_alone() -> None:
    template = stack("table")
    assert not of_type(template, "AWS::SQS::Queue").keys() & {"EventsQueue"}
    mapping = of_type(template, "AWS::Lambda::EventSourceMapping")["TableMapping"]
    assert (mapping["StartingPosition"], mapping["EventSourceArn"]) == (
        "TRIM_HORIZON",
        {"Ref": "TableStreamArn"},
    )
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {
        "Fn::GetAtt": ["FailuresQueue", "Arn"]
    }
    rights = queue_rights(template)
    assert rights["FollowTable"]["Resource"] == {"Ref": "TableStreamArn"}
    assert rights["FindStream"]["Action"] == "dynamodb:ListStreams"


def test_every_queue_takes_requests_over_tls_only(variant: str) -> None:
    template = stack(variant)
    policies = of_type(template, "AWS::SQS::QueuePolicy").values()
    guarded = {policy["Queues"][0]["Ref"] for policy in policies}
    assert guarded == of_type(template, "AWS::SQS::Queue").keys()
    for policy in policies:
        rule = policy["PolicyDocument"]["Statement"][0]
        assert (rule["Effect"], rule["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_data_bucket_cannot_be_mirrored() -> None:
    (rule,) = source()["Rules"]["MirroredBucketsAreOthers"]["Assertions"]
    assert rule["Assert"] == {
        "Fn::Not": [{"Fn::Contains": [{"Ref": "MirroredBuckets"}, {"Ref": "ExistingBucket"}]}]
    }


# The stack as a whole


NAMED = {
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Scheduler::Schedule": "Name",
}


def test_two_stacks_fit_in_one_account(variant: str) -> None:
    """Names contain the stack's name; CloudFormation names everything else."""
    for name, resource in whole(variant)["Resources"].items():
        properties = resource.get("Properties", {})
        if (key := NAMED.get(resource["Type"])) is not None:
            assert "AWS::StackName" in text_of(properties[key]), name
        elif resource["Type"].split("::")[1] in ("CloudWatch", "IAM", "S3", "SNS", "SQS"):
            own = resource["Type"].split("::")[2].removeprefix("Managed") + "Name"
            assert own not in properties, name


def references(node: Any) -> Iterator[str]:
    match node:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from (name.split(".")[0] for name in re.findall(r"\$\{([\w.:]+)\}", text))
        case {"Fn::Sub": [str(text), dict(given)]}:
            yield from (name for name in re.findall(r"\$\{([\w:]+)", text) if name not in given)
            yield from references(given)
        case dict():
            for key, inner in node.items():
                if key == "DependsOn":
                    yield from [inner] if isinstance(inner, str) else inner
                else:
                    yield from references(inner)
        case list():
            for inner in node:
                yield from references(inner)


def test_everything_exists_before_what_refers_to_it(variant: str) -> None:
    template = stack(variant)
    resources = template["Resources"]
    known = resources.keys() | template["Parameters"].keys()
    waiting = {name: set(references(resource)) for name, resource in resources.items()}
    for name, needed in waiting.items():
        missing = {each for each in needed if each not in known and not each.startswith("AWS::")}
        assert not missing, f"{name} refers to {missing}"
    while waiting:
        ready = {name for name, needed in waiting.items() if not needed & waiting.keys()}
        assert ready, f"these refer to each other in a circle: {sorted(waiting)}"
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}


# The nested stack


def test_the_nested_stack_needs_no_further_capability(variant: str) -> None:
    """A Transform of its own would need CAPABILITY_AUTO_EXPAND, and IAM resources could need another."""
    template = source(NESTED)
    assert template.keys() <= {
        "AWSTemplateFormatVersion",
        "Description",
        "Parameters",
        "Conditions",
        "Resources",
    }
    kinds = {resource["Type"] for resource in monitoring(variant)["Resources"].values()}
    assert kinds <= {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}


def test_the_nested_stack_gets_its_parameters_and_refers_to_nothing_else(variant: str) -> None:
    declared = source(NESTED)["Parameters"].keys()
    assert passed(variant).keys() == declared
    used = set(references(monitoring(variant)["Resources"]))
    assert {name for name in used if not name.startswith("AWS::")} <= declared
    # Its own name is another: CloudFormation makes it from that of the stack around it.
    assert "AWS::StackName" not in used


def test_roll_backs_wait_for_no_other_stack(variant: str) -> None:
    """The alarms of deployments are in the main stack, and no resource needs the nested one."""
    template = stack(variant)
    groups = of_type(template, "AWS::CodeDeploy::DeploymentGroup")
    assert groups.keys() == {f"{name}FunctionDeploymentGroup" for name in FUNCTIONS}
    for name in FUNCTIONS:
        alarms = groups[f"{name}FunctionDeploymentGroup"]["AlarmConfiguration"]["Alarms"]
        assert alarms == [{"Name": {"Ref": f"{name}ErrorsAlarm"}}]
        alarm = of_type(template, "AWS::CloudWatch::Alarm")[f"{name}ErrorsAlarm"]
        assert (alarm["MetricName"], alarm["Threshold"]) == ("Errors", 1)
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}]
    assert "Monitoring" not in {
        each for name, resource in template["Resources"].items() for each in references(resource)
    }


def test_alarms_go_off_where_the_guide_says() -> None:
    alarms = of_type(whole("events"), "AWS::CloudWatch::Alarm")
    limits = {
        name: (each["Threshold"], each["Period"], each["EvaluationPeriods"]) for name, each in alarms.items()
    }
    assert limits == {
        "ProxyErrorsAlarm": (1, 300, 1),
        "ReaderErrorsAlarm": (1, 300, 1),
        "WriterErrorsAlarm": (1, 300, 1),
        "ProxyThrottlesAlarm": (1, 300, 1),
        "ReaderThrottlesAlarm": (1, 300, 1),
        "RefusedRequestsAlarm": (5, 300, 1),
        "ApiErrorsAlarm": (5, 300, 1),
        "FencedCommitsAlarm": (10, 300, 1),
        "VerifyFailuresAlarm": (1, 300, 1),
        "UncompactedFilesAlarm": (1000, 3600, 2),
        "FailuresQueueAlarm": (1, 300, 1),
        "EventDeadLettersAlarm": (1, 300, 1),
        "EventsDelayAlarm": (900, 300, 1),
        "TableDelayAlarm": (900_000, 300, 1),
    }


def test_the_version_is_the_packages() -> None:
    template = source()
    assert template["Metadata"]["AWS::ServerlessRepo::Application"]["SemanticVersion"] == lamdb.__version__
    assert (
        template["Resources"]["Api"]["Properties"]["DefinitionBody"]["info"]["version"] == lamdb.__version__
    )


def test_throttles_of_the_writer_that_the_proxy_makes_good_raise_no_alarm(variant: str) -> None:
    alarms = of_type(whole(variant), "AWS::CloudWatch::Alarm")
    watched = [alarm["Dimensions"] for alarm in alarms.values() if alarm["MetricName"] == "Throttles"]
    assert watched == [
        [{"Name": "FunctionName", "Value": {"Fn::Sub": f"${{AWS::StackName}}-{name}"}}]
        for name in ("proxy", "reader")
    ]
    refused = alarms["RefusedRequestsAlarm"]
    assert (refused["Namespace"], refused["MetricName"], refused["Statistic"]) == (
        "lamDB",
        "RefusedRequests",
        "Sum",
    )
    assert refused["Dimensions"] == [{"Name": "service", "Value": {"Fn::Sub": "${AWS::StackName}-proxy"}}]


def test_pages_can_read_the_refusals_of_the_api_itself() -> None:
    answers = body(stack("browser"))["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "INTEGRATION_FAILURE"} <= answers.keys()
    for name, answer in answers.items():
        given = answer["responseParameters"]
        assert given["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'", name
        assert "retry-after" in given["gatewayresponse.header.Access-Control-Expose-Headers"], name
