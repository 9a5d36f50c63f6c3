"""What KServe's InferenceService may say, as far as a package says it: facts of KServe's own definition, in our words.

Read from config/crd/full/serving.kserve.io_inferenceservices.yaml of github.com/kserve/kserve (Apache-2.0), commit
047112c8916ef527b7a4b4090effdb1cbc5be29c, and of the pod and container of Kubernetes that it takes over: which keys there are, of
which types, and which must be there. Every object is closed: Kubernetes drops a key that it does not know without a word, and what
we ask for would not be done.
"""

from typing import Any

TEXT, YES, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
PORT = {"type": ["integer", "string"]}
QUANTITY = {
    "type": ["integer", "string"],
    "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def closed(must: str = "", **may: Any) -> dict[str, Any]:
    """Return an object that has no other keys than these, and those that it must have."""
    return {"type": "object", "properties": may, "required": must.split(), "additionalProperties": False}


def several(item: dict[str, Any]) -> dict[str, Any]:
    """Return a list of things."""
    return {"type": "array", "items": item}


PROBE = closed(
    httpGet=closed("port", path=TEXT, port=PORT, host=TEXT, scheme=TEXT),
    failureThreshold=NUMBER,
    initialDelaySeconds=NUMBER,
    periodSeconds=NUMBER,
    successThreshold=NUMBER,
    terminationGracePeriodSeconds=NUMBER,
    timeoutSeconds=NUMBER,
)
SECCOMP = closed("type", type=TEXT, localhostProfile=TEXT)
WHO = {"runAsGroup": NUMBER, "runAsNonRoot": YES, "runAsUser": NUMBER, "seccompProfile": SECCOMP}
CONTAINER = closed(
    "name",
    name=TEXT,
    image=TEXT,
    imagePullPolicy=TEXT,
    command=several(TEXT),
    args=several(TEXT),
    env=several(
        closed(
            "name",
            name=TEXT,
            value=TEXT,
            valueFrom=closed(secretKeyRef=closed("key", name=TEXT, key=TEXT, optional=YES)),
        )
    ),
    ports=several(
        closed("containerPort", containerPort=NUMBER, name=TEXT, protocol=TEXT, hostIP=TEXT, hostPort=NUMBER)
    ),
    livenessProbe=PROBE,
    readinessProbe=PROBE,
    startupProbe=PROBE,
    resources=closed(
        limits={"type": "object", "additionalProperties": QUANTITY},
        requests={"type": "object", "additionalProperties": QUANTITY},
    ),
    securityContext=closed(
        allowPrivilegeEscalation=YES,
        capabilities=closed(add=several(TEXT), drop=several(TEXT)),
        privileged=YES,
        readOnlyRootFilesystem=YES,
        **WHO,
    ),
    volumeMounts=several(closed("mountPath name", mountPath=TEXT, name=TEXT, readOnly=YES, subPath=TEXT)),
)
PREDICTOR = closed(
    minReplicas=NUMBER,
    maxReplicas=NUMBER,
    automountServiceAccountToken=YES,
    securityContext=closed(fsGroup=NUMBER, **WHO),
    containers=several(CONTAINER),
    volumes=several(closed("name", name=TEXT, emptyDir=closed(medium=TEXT, sizeLimit=QUANTITY))),
)
INFERENCE_SERVICE = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "serving.kserve.io/v1beta1"},
    kind={"const": "InferenceService"},
    metadata=closed(
        "name",
        name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
        labels=TEXTS,
        annotations=TEXTS,
    ),
    spec=closed("predictor", predictor=PREDICTOR),
)
