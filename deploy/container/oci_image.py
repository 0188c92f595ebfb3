"""Writes a container image as an OCI layout in a tar, without a container engine.

`ctr -n k8s.io images import`, `skopeo copy oci-archive:FILE ...` and `podman load` take it. The same files give the same bytes: no
times, no owners.
"""
import gzip
import hashlib
import io
import json
import os
import tarfile


class Image:
    """One layer after the other: new_layer() begins the next."""

    def __init__(self, name, entrypoint=(), command=(), environment=(), user="", directories=("tmp", "proc", "sys", "dev", "etc"), config=None):
        self.name = name  # "local.test/pause:1"
        self.config = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *environment], "User": user}
        if entrypoint:
            self.config["Entrypoint"] = list(entrypoint)
        if command:
            self.config["Cmd"] = list(command)
        if config is not None:
            self.config = config
        self.layers = [{}]
        for directory in directories:
            self.add_directory(directory, 0o1777 if directory == "tmp" else 0o755)

    @property
    def entries(self):
        return self.layers[-1]

    def new_layer(self):
        self.layers.append({})

    def add_directory(self, path, mode=0o755):
        path = path.strip("/")
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.add_directory(parent)
        info = tarfile.TarInfo(path)
        info.type, info.mode = tarfile.DIRTYPE, mode
        self.entries.setdefault(path, (info, None))

    def add_file(self, path, content, mode=0o644):
        self._parent(path)
        info = tarfile.TarInfo(path.strip("/"))
        info.size, info.mode = len(content), mode
        self.entries[info.name] = (info, content)

    def add_link(self, path, target):
        self._parent(path)
        info = tarfile.TarInfo(path.strip("/"))
        info.type, info.linkname = tarfile.SYMTYPE, target
        self.entries[info.name] = (info, None)

    def add_from(self, source, path, mode=None):
        with open(source, "rb") as file:
            self.add_file(path, file.read(), mode if mode is not None else os.stat(source).st_mode & 0o755)

    def _parent(self, path):
        parent = os.path.dirname(path.strip("/"))
        if parent:
            self.add_directory(parent)

    def size(self):
        """Of all files, as they will lie on a node's disk."""
        return sum(info.size for layer in self.layers for info, _ in layer.values())

    def write(self, path, compress=False):
        """Writes the tar; returns the size of the layers within it."""
        blobs = {}

        def blob(media_type, data):
            digest = hashlib.sha256(data).hexdigest()
            blobs[digest] = data
            return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest, "size": len(data)}

        layers, diff_ids = [], []
        for entries in self.layers:
            layer = self._layer(entries)
            diff_ids.append("sha256:" + hashlib.sha256(layer).hexdigest())
            layers.append(blob("layer.v1.tar+gzip", gzip.compress(layer, 6, mtime=0)) if compress else blob("layer.v1.tar", layer))
        config = blob("config.v1+json", json.dumps({
            "architecture": "amd64", "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode())
        manifest = blob("manifest.v1+json", json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": layers}).encode())
        manifest["annotations"] = {"io.containerd.image.name": self.name,
                                   "org.opencontainers.image.ref.name": self.name.rsplit(":", 1)[1]}
        index = json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()
        with tarfile.open(path, "w") as out:
            self._put(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            self._put(out, "index.json", index)
            for digest, data in sorted(blobs.items()):
                self._put(out, "blobs/sha256/" + digest, data)
        return sum(layer["size"] for layer in layers)

    def unpack(self, folder):
        """The same files below a folder, for who builds the image by other means."""
        for entries in self.layers:
            with tarfile.open(fileobj=io.BytesIO(self._layer(entries))) as layer:
                layer.extractall(folder)

    @staticmethod
    def _layer(entries):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as layer:
            for _, (info, content) in sorted(entries.items()):
                layer.addfile(info, io.BytesIO(content) if content is not None else None)
        return buffer.getvalue()

    @staticmethod
    def _put(out, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        out.addfile(info, io.BytesIO(data))
