"""The manifests of deploy/kubernetes: valid for Kubernetes, consistent with the command line, and secure."""

import pathlib

import kubernetes_validate
import pytest
import typer.main
import yaml

from pipeline import cli

FOLDER = pathlib.Path(__file__).parents[1] / "deploy" / "kubernetes"
DOCUMENTS = {
    f"{path.stem} {document['kind']}": document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
PODS = {name: document["spec"]["template"] for name, document in DOCUMENTS.items() if "template" in document["spec"]}
VERSIONS = ["1.30", "1.37"]
every_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)


def container(pod):
    (only,) = pod["spec"]["containers"]
    return only


def parameters(pod):
    """Return name -> value of the parameters that the command line takes from the arguments of a pod."""
    name, *arguments = container(pod)["args"]
    command = typer.main.get_group(cli.app).commands[name]
    return command.make_context(name, arguments).params


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_manifest_follows_the_schema_of_kubernetes(document, version):
    assert kubernetes_validate.validate(document, version, strict=True) == version


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_unknown_field_of_a_manifest_is_refused(document):
    with pytest.raises(kubernetes_validate.ValidationError, match="replicaCount"):
        kubernetes_validate.validate({**document, "spec": {**document["spec"], "replicaCount": 1}}, "1.37", strict=True)


def test_workers_and_run_connect_to_the_port_of_the_scheduler_by_its_service():
    service = DOCUMENTS["scheduler Service"]
    scheduler, worker, run = (PODS[name] for name in ("scheduler Deployment", "worker Deployment", "run Job"))
    (port,) = service["spec"]["ports"]
    ports = {entry["name"]: entry["containerPort"] for entry in container(scheduler)["ports"]}
    assert port["port"] == ports[port["targetPort"]] == parameters(scheduler)["port"]
    assert ports["dashboard"] == parameters(scheduler)["dashboard_port"]
    address = f"tcp://{service['metadata']['name']}:{port['port']}"
    assert parameters(worker)["address"] == address == parameters(run)["cluster"]
    assert service["spec"]["selector"].items() <= scheduler["metadata"]["labels"].items()
    assert not service["spec"]["selector"].items() <= worker["metadata"]["labels"].items()


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_deployment_selects_its_own_pods(name):
    spec = DOCUMENTS[f"{name} Deployment"]["spec"]
    selected = [
        pod for pod in PODS.values() if spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ]
    assert selected == [spec["template"]]


@every_pod
def test_policy_lets_only_pods_of_pilah_connect_to_a_pod(pod):
    spec = DOCUMENTS["network-policy NetworkPolicy"]["spec"]
    (rule,) = spec["ingress"]
    (source,) = rule["from"]
    assert spec["policyTypes"] == ["Ingress"]
    assert source == {"podSelector": spec["podSelector"]}  # without namespaceSelector: of this namespace
    assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert DOCUMENTS["scheduler Service"]["spec"].get("type", "ClusterIP") == "ClusterIP"


@every_pod
def test_pod_has_no_rights_beyond_its_user_and_folders(pod):
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    folders = [mount["mountPath"] for mount in container(pod)["volumeMounts"]]
    (home,) = [variable["value"] for variable in container(pod)["env"] if variable["name"] == "HOME"]
    assert any(pathlib.PurePath(home).is_relative_to(folder) for folder in folders)


@every_pod
def test_pod_has_requests_and_limits(pod):
    resources = container(pod)["resources"]
    assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}


def test_worker_is_one_process_with_one_core():
    worker = PODS["worker Deployment"]
    assert parameters(worker)["workers"] == 1 and container(worker)["resources"]["limits"]["cpu"] == "1"


def test_run_and_workers_share_the_claim_under_one_path():
    claim = DOCUMENTS["storage PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    run, worker = PODS["run Job"], PODS["worker Deployment"]
    for key in ("volumes", "securityContext"):
        assert run["spec"][key] == worker["spec"][key]
    assert container(run)["volumeMounts"] == container(worker)["volumeMounts"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in run["spec"]["volumes"]
    (shared,) = [mount["mountPath"] for mount in container(run)["volumeMounts"] if mount["name"] == "data"]
    assert all(path.is_relative_to(shared) for path in (parameters(run)["run_dir"], *parameters(run)["images"]))


def test_all_pods_have_one_image():
    assert len({container(pod)["image"] for pod in PODS.values()}) == 1
