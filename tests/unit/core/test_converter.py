import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import converter
from metrics_apiserver.core.converter import Override, ResourceConverter
from metrics_apiserver.core.model import NAMESPACES, NODES, PODS, GroupResource, MappedResource
from metrics_apiserver.core.restmapper import RESTMapper

DEPLOYMENTS = GroupResource("apps", "deployments")
INGRESSES = GroupResource("networking.k8s.io", "ingresses")
SERVICES = GroupResource("", "services")
WIDGETS = GroupResource("my-shop.example.com", "widgets")


def mapped(group: str, plural: str, singular: str, namespaced: bool = True) -> MappedResource:
    return MappedResource(group, "v1", plural, singular, singular.title(), namespaced)


CLUSTER = (
    mapped("", "namespaces", "namespace", False),
    mapped("", "nodes", "node", False),
    mapped("", "pods", "pod"),
    mapped("", "services", "service"),
    mapped("apps", "deployments", "deployment"),
    mapped("networking.k8s.io", "ingresses", "ingress"),
)
CRD = mapped("my-shop.example.com", "widgets", "widget")


def bind(
    template: str = "", overrides: dict[str, str] | None = None, *, crds: bool = False
) -> ResourceConverter:
    entries = [
        Override(label, GroupResource.parse(resource), line)
        for line, (label, resource) in enumerate((overrides or {}).items(), 1)
    ]
    mapper = RESTMapper([*CLUSTER, CRD] if crds else CLUSTER)
    return ResourceConverter(converter.compile_mapping(template, entries), mapper)


def test_overrides_both_ways() -> None:
    bound = bind(overrides={"node_name": "node", "pod_name": "pod", "namespace_name": "namespace"})
    labels = {"pod_name", "namespace_name", "node_name", "uuid", "pod"}
    assert bound.resources_for(labels) == [NAMESPACES, NODES, PODS]
    assert bound.label_for(PODS) == "pod_name"
    assert bound.label_for(NAMESPACES) == "namespace_name"
    assert bound.waiting == bound.repeated == ()


def test_template_both_ways() -> None:
    bound = bind("kube_<<.Resource>>")
    assert bound.resources_for({"kube_pod", "kube_node", "pod", "kube_x"}) == [NODES, PODS]
    assert bound.label_for(PODS) == "kube_pod"
    assert bound.label_for(DEPLOYMENTS) == "kube_deployment"


def test_a_resource_is_found_by_any_spelling_and_once() -> None:
    assert bind("<<.Resource>>").resources_for(["pod", "pods", "Pod", "deployment"]) == [
        PODS,
        DEPLOYMENTS,
    ]


def test_overrides_win_over_the_template() -> None:
    bound = bind("<<.Resource>>", {"pod": "service", "app": "deployments.apps"})
    assert bound.resources_for({"pod"}) == [SERVICES]
    assert bound.label_for(SERVICES) == "pod"
    assert bound.label_for(DEPLOYMENTS) == "app"
    assert bound.label_for(NODES) == "node"


def test_groups_in_a_template() -> None:
    bound = bind("kube_<<.Group>>_<<.Resource>>")
    assert bound.label_for(DEPLOYMENTS) == "kube_apps_deployment"
    assert bound.resources_for({"kube_apps_deployment"}) == [DEPLOYMENTS]
    assert bound.resources_for({"kube_apps_deployments"}) == [DEPLOYMENTS]
    assert bound.resources_for({"kube_batch_deployment", "kube_apps_"}) == []


@pytest.mark.parametrize(
    "template",
    [
        "kube_<<.Group>>_<<.Resource>>",
        "<<.Resource>>_of_<<.Group>>",
        "<<if .Group>><<.Group>>_<<end>><<.Resource>>",
    ],
)
def test_both_directions_agree(template: str) -> None:
    bound = bind(template, crds=True)
    for resource in bound.mapper.resources:
        label = bound.label_for(resource.group_resource)
        assert bound.resources_for([label]) == [resource.group_resource]


def test_dots_and_dashes_of_a_group_become_underscores_and_are_found_again() -> None:
    bound = bind("<<.Group>>_<<.Resource>>", crds=True)
    assert bound.label_for(WIDGETS) == "my_shop_example_com_widget"
    assert bound.label_for(INGRESSES) == "networking_k8s_io_ingress"
    labels = {"my_shop_example_com_widget", "networking_k8s_io_ingress", "_pod", "x_y_z"}
    assert bound.resources_for(labels) == [PODS, WIDGETS, INGRESSES]


def test_an_override_that_the_cluster_lacks_waits() -> None:
    overrides = {"widget": "widgets.my-shop.example.com", "pod": "pod"}
    bound = bind("<<.Resource>>", overrides)
    assert bound.waiting == (("widget", WIDGETS),)
    assert bound.resources_for({"widget", "pod", "node"}) == [NODES, PODS]
    with pytest.raises(LookupError, match=r"widgets\.my-shop\.example\.com into label"):
        bound.label_for(WIDGETS)

    later = bind("<<.Resource>>", overrides, crds=True)
    assert later.waiting == ()
    assert later.resources_for({"widget", "pod"}) == [PODS, WIDGETS]
    assert later.label_for(WIDGETS) == "widget"


def test_of_two_labels_for_one_resource_the_first_is_asked_for() -> None:
    bound = bind(overrides={"pod_name": "pod", "exported_pod": "pods", "node": "node"})
    assert bound.label_for(PODS) == "pod_name"
    assert bound.repeated == (("exported_pod", PODS),)
    assert bound.resources_for({"exported_pod"}) == [PODS]


def test_without_a_template_only_overrides_have_labels() -> None:
    with pytest.raises(LookupError, match="no generic resource label form"):
        bind(overrides={"pod": "pod"}).label_for(NODES)
    assert bind().mapping.empty
    assert not bind(overrides={"pod": "pod"}).mapping.empty
    assert not bind("<<.Resource>>").mapping.empty


def test_a_resource_that_the_cluster_lacks_has_no_label() -> None:
    with pytest.raises(LookupError, match="the cluster has none"):
        bind("<<.Resource>>").label_for(WIDGETS)


def test_an_empty_label_is_none() -> None:
    bound = bind('<<if ne .Group "apps">><<.Resource>><<end>>')
    assert bound.label_for(PODS) == "pod"
    with pytest.raises(LookupError, match="empty label produced by label template"):
        bound.label_for(DEPLOYMENTS)
    assert bound.resources_for({"pod", "deployment", "nothing"}) == [PODS, DEPLOYMENTS]


def test_a_template_that_fails_on_a_resource_gives_no_label() -> None:
    bound = bind('<<if eq .Group "apps">><<index .Group 99>><<else>><<.Resource>><<end>>')
    with pytest.raises(LookupError, match="into label"):
        bound.label_for(DEPLOYMENTS)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("<<.Resource", "."),
        ("<<.Kind>>", "Kind"),
        ("pod", "must include at least"),
        ("<<.Group>>", "must include at least"),
        ('<<printf "%d" (len .Resource)>>', "must include at least"),
        ("<<.Resource>>_<<.Resource>>", "use each of its fields once"),
        ("<<.Group>>_<<.Group>>_<<.Resource>>", "use each of its fields once"),
        ("(<<.Resource>>", "makes no expression"),
    ],
)
def test_refused_templates(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        converter.compile_mapping(template, ())


def test_mappings_are_equal_whatever_their_lines() -> None:
    first = converter.compile_mapping("<<.Resource>>", [Override("a", PODS, 3)])
    same = converter.compile_mapping("<<.Resource>>", [Override("a", PODS, 9)])
    other = converter.compile_mapping("<<.Resource>>", [Override("b", PODS, 3)])
    assert first == same
    assert hash(first) == hash(same)
    assert first != other


def test_what_is_remembered_is_bounded() -> None:
    bound = bind("<<.Resource>>")
    bound.resources_for(f"label_{number}" for number in range(10_000))
    assert len(bound._memo) == 4096
    assert bound.resources_for({"pod", "label_9999"}) == [PODS]
    assert bound.resources_for({"label_1"}) == []
