"""A runner written from the README of the released archive alone, and from nothing else here.

    outside_runner.py vectors.json COMMAND...

It asks an adapter by the protocol of the README, the control cases first, and prints a score.
"""

import base64
import contextlib
import json
import subprocess
import sys
from pathlib import Path

FAILS = ("crash", "mismeasure")


class Adapter:
    """A process that answers one line for one line, and is started again after it ended."""

    def __init__(self, command):
        self.command, self.process = command, None

    def ask(self, suite, case):
        """accept, reject, unsupported, mismeasure, or crash."""
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, text=True)
        try:
            self.process.stdin.write(json.dumps(request(suite, case)) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.close()
            return "crash"
        answer = json.loads(line)
        assert answer["id"] == case["id"]
        measured = case["expected"].get("measurements")
        if answer["result"] == "accept" and measured and answer.get("measurements") != measured:
            return "mismeasure"
        return answer["result"]

    def close(self):
        """Ends the process, and keeps its exit code."""
        process, self.process = self.process, None
        if process is not None:
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            self.status = process.wait()


def request(suite, case):
    """The request for a case."""
    made = {"protocol": 1, "id": case["id"], "time": case["time"], "features": case["features"]}
    if "image" in case:
        return made | {"image": case["image"]["base64"], "ignore_crc": case["ignore_crc"]}
    made |= {"document": case["document"]["base64"], "root": suite["roots"][case["root"]]}
    made["policy"] = case["policy"]
    if "policy_file" in case:
        file = dict(case["policy_file"])
        if "text" in file:
            file["base64"] = base64.b64encode(file.pop("text").encode()).decode()
        made["policy_file"] = file
    if "revocation" in case:
        lists = [one["base64"] for one in case["revocation"]["lists"]]
        made["revocation"] = {"max_age_ms": case["revocation"]["max_age_ms"], "lists": lists}
    return made


def no_verifier(adapter, suite):
    """The reason why the program is not a verifier, or None."""
    cases = {case["id"]: case for case in suite["cases"]}
    control = suite["controls"]["document"]
    try:
        valid = [adapter.ask(suite, cases[name]) for name in control["accept"]]
        wrong = [adapter.ask(suite, cases[name]) for name in control["reject"]]
    except OSError:
        return "cannot start"
    answers = {*valid, *wrong}
    if "unsupported" in answers:
        return "answers unsupported"
    if "accept" in valid and "reject" in wrong:
        return None
    if answers == {"crash"}:
        return "aborts" if adapter.status else "prints nothing"
    if len(answers) == 1:
        return f"{answers.pop()}s everything"
    return "rejects no wrong case" if "accept" in valid else "accepts no valid case"


def main(path, *command):
    """Prints the score, or what the program is; the exit code."""
    suite = json.loads(Path(path).read_text(encoding="utf-8"))
    adapter = Adapter(command)
    found = no_verifier(adapter, suite)
    if found:
        print(f"not a verifier: {found}")
        return 2
    run = right = forgeries = 0
    for case in suite["cases"]:
        outcome, expected = adapter.ask(suite, case), case["expected"]["result"]
        needs = case["features"] or {"policy_file", "revocation", "image"} & case.keys()
        if outcome == "unsupported" and needs:
            continue
        if expected == "acceptable" and outcome not in (*FAILS, "unsupported"):
            continue
        run += 1
        right += outcome == expected
        forgeries += (expected, outcome) == ("reject", "accept") and case[
            "importance"
        ] == "critical"
    adapter.close()
    print(f"{right} of {run} right, {forgeries} forgeries accepted")
    return 0 if right == run else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
