"""What the last stage of a Dockerfile says about the image, as an OCI configuration. Only what ours uses."""
import json
import shlex


def read_config(text):
    """Refuses, by line, what it does not know: then the two ways to build would differ."""
    config = {"Env": []}
    stage = None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 1)
        if not words or line.startswith("#"):
            continue
        instruction, rest = words[0], words[1] if len(words) > 1 else ""
        if instruction == "FROM":
            stage, config = rest, {"Env": []}
        elif stage != "scratch":
            continue
        elif instruction == "ENV":
            config["Env"].append(rest)
        elif instruction == "USER":
            config["User"] = rest
        elif instruction == "WORKDIR":
            config["WorkingDir"] = rest
        elif instruction == "EXPOSE":
            config["ExposedPorts"] = {port: {} for port in rest.split()}
        elif instruction == "LABEL":
            key, value = shlex.split(rest)[0].split("=", 1)
            config.setdefault("Labels", {})[key] = value
        elif instruction in ("CMD", "ENTRYPOINT"):
            config[instruction.capitalize()] = json.loads(rest)
        elif instruction != "COPY":
            raise ValueError(f"line {number}: {instruction}, expected ENV, USER, WORKDIR, EXPOSE, LABEL, CMD, ENTRYPOINT or COPY")
    return config
