"""A rendering of the chart, as objects, with what is looked up in it again and again."""
import json
import os
import pathlib
import subprocess

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = REPOSITORY / "deploy/helm/tepal"
HELM = os.environ["HELM"]
NFS = {"server": {"models": {"nfs": {"server": "nfs.example", "path": "/models"}}}}


def merge(one, other):
    result = dict(one)
    for key, value in other.items():
        result[key] = merge(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def helm_template(values, *arguments):
    return subprocess.run([HELM, "template", "flower", CHART, "--namespace=models", "--values=-", *arguments], input=json.dumps(values),
                          capture_output=True, text=True)


class Refused(Exception):
    pass


class Rendering:
    """With the models on NFS where `values` name no other place."""

    def __init__(self, values=None, *arguments, models=NFS):
        done = helm_template(merge(models, values or {}), *arguments)
        if done.returncode != 0:
            raise Refused(done.stderr)
        self.objects = [one for one in yaml.safe_load_all(done.stdout) if one]

    def all(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def get(self, kind, name):
        found = [one for one in self.all(kind) if one["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {[(o['kind'], o['metadata']['name']) for o in self.objects]}"
        return found[0]

    def names(self):
        return {(one["kind"], one["metadata"]["name"]) for one in self.objects}

    def pods(self):
        """(name, labels, spec) of everything that makes pods, and of pods."""
        for one in self.objects:
            if one["kind"] in ("Deployment", "DaemonSet"):
                template = one["spec"]["template"]
                yield one["metadata"]["name"], template["metadata"]["labels"], template["spec"]
            elif one["kind"] == "Pod":
                yield one["metadata"]["name"], one["metadata"]["labels"], one["spec"]
