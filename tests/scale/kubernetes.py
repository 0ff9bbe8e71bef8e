#!/usr/bin/env python3
"""What `examples/kubernetes` says, without a cluster: Kubernetes' own schemas take it, and its commands make the data set of one process.

The schemas come with the Python package `kubernetes-validate`, which goes into a throw-away environment; where it cannot be installed the tests are skipped
and say so. They do not know how fields hang together, so the few rules that matter here are checked as well. Each pod's command is then run on this
machine, with the index that Kubernetes would give it. No pod was started: how a cluster retries, preempts and loses them is not tested.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = [ROOT / "examples/kubernetes" / name for name in ("job.yaml", "finalize.yaml")]
PACKAGE = "kubernetes-validate==1.37.0"
VERSIONS = ["1.33", "1.37"]  # the first that has all fields as stable ones, and the last that the package knows
SEED = "7"


def check(holds, what):
    if not holds:
        sys.exit(f"error: {what}")


def run(command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    return done.returncode, done.stdout


class Schemas:
    """An environment with the package, if it can be installed."""

    def __init__(self, folder):
        self.programs = folder / "bin"
        steps = [[sys.executable, "-m", "venv", folder], [self.programs / "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]]
        self.installed = all(run(step)[0] == 0 for step in steps)

    def take(self, version, *files):
        return run([self.programs / "kubernetes-validate", "--strict", "--kubernetes-version", version, *files])

    def read(self, file):
        code, text = run([self.programs / "python", "-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))", file])
        check(code == 0, text)
        return json.loads(text)


def schemas_take(schemas, folder):
    for file in FILES:
        for version in VERSIONS:
            code, said = schemas.take(version, file)
            check(code == 0, said)
        head, spec = re.split("^spec:$", file.read_text(), flags=re.MULTILINE)
        # Every field, but for the names of resources, which are anybody's.
        fields = sorted(set(re.findall(r"\b([a-z]\w+):(?=\s)", re.sub("#.*", "", spec))) - {"cpu", "memory"})
        misspelled = [folder / f"{field}z.yaml" for field in fields]
        for field, wrong in zip(fields, misspelled):
            wrong.write_text(f"{head}spec:" + re.sub(rf"\b{field}:", f"{field}z:", spec))
        code, said = schemas.take(VERSIONS[-1], *misspelled)
        accepted = [wrong.stem for wrong in misspelled if f"ERROR {wrong} " not in said]
        check(code != 0 and not accepted, f"{file.name}: accepted are {accepted}\n{said}")
        print(f"ok: Kubernetes {' and '.join(VERSIONS)} take {file.name}, and refuse it with any of its {len(fields)} fields misspelled", flush=True)


def fields_agree(job, finalize):
    for each, action in ((job, "FailIndex"), (finalize, "FailJob")):
        spec, pod = each["spec"], each["spec"]["template"]["spec"]
        [container] = pod["containers"]
        [by_code, by_condition] = spec["podFailurePolicy"]["rules"]
        check(by_code["action"] == action and by_code["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [2, 64]},
              "permanent errors are not exactly those of exit codes 2 and 64")
        check(by_condition["action"] == "Ignore" and by_condition["onPodConditions"][0]["type"] == "DisruptionTarget", "disruptions are counted")
        # What a cluster refuses otherwise.
        check(pod["restartPolicy"] == "Never" and spec["podReplacementPolicy"] == "Failed", "podFailurePolicy needs `Never` and `Failed`")
        check({mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}, "volumes and mounts differ")
        check({"name": "TMPDIR", "value": container["volumeMounts"][0]["mountPath"]} in container["env"], "TMPDIR is no volume")
    spec = job["spec"]
    check(spec["completionMode"] == "Indexed" and "backoffLimitPerIndex" in spec, "FailIndex needs an Indexed Job with backoffLimitPerIndex")
    check(spec["maxFailedIndexes"] <= spec["completions"] and spec["parallelism"] <= spec["completions"], "more of the units than there are")
    print("ok: exit codes 2 and 64 end a unit, others are tried again, disruptions do not count", flush=True)


def commands_make_the_set(tool, job, finalize, folder):
    sources, whole, out = folder / "sources", folder / "whole", folder / "set"
    shutil.copytree(ROOT / "fixtures/shards", sources)
    env = dict(os.environ, UL2_PREP_UNIT_BYTES="1")  # each source is a unit

    def tool_runs(*arguments, **variables):
        code, said = run([tool, *arguments], env=dict(env, **variables))
        check(code == 0, f"`{' '.join(map(str, arguments))}` ended with {code}:\n{said}")

    def pod_runs(job, **variables):
        [container] = job["spec"]["template"]["spec"]["containers"]
        tool_runs(*(out if argument.startswith("s3://") else argument for argument in container["args"]), **variables)

    tool_runs("run", sources, "--out", whole, "--seed", SEED, "--quiet")
    tool_runs("plan", sources, "--out", out, "--seed", SEED, "--write")
    units = sum(path.is_file() for path in sources.rglob("*"))
    for index in reversed(range(units)):
        pod_runs(job, JOB_COMPLETION_INDEX=str(index))
    pod_runs(finalize)
    tool_runs("verify", out)
    digests = [hashlib.sha256((each / "manifest.json").read_bytes()).hexdigest() for each in (whole, out)]
    check(digests[0] == digests[1], "manifest.json is not the one of one process")
    print(f"ok: the commands of {units} pods, last unit first, and of the one that finalizes make the data set of one process", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    args = parser.parse_args()
    # An exception, so that the folder goes away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="ul2-prep-kubernetes-") as folder:
        folder = pathlib.Path(folder)
        schemas = Schemas(folder / "python")
        if not schemas.installed:
            print(f"skipped: Kubernetes ({PACKAGE} cannot be installed here)")
            return
        schemas_take(schemas, folder)
        job, finalize = map(schemas.read, FILES)
        fields_agree(job, finalize)
        commands_make_the_set(args.tool.resolve(strict=True), job, finalize, folder)


if __name__ == "__main__":
    main()
