"""What is in the image: our build, and files of this machine's Debian packages with every library that they are linked with.

The same list makes the image and its SBOM, so that neither can leave out what the other has.
"""
import hashlib
import os
import pathlib
import re
import subprocess
import tempfile

# Programs of Debian that a shell script in a pod may count on. Libraries come along by themselves.
PROGRAMS = """bash dash grep sed sleep cat ls cp mv rm ln mkdir rmdir chmod touch env printenv id uname hostname date nproc stat df du
head tail wc sort uniq cut tr tee seq basename dirname readlink realpath mktemp sha256sum timeout test true false echo printf""".split()
# What no loader finds by itself: names (NSS).
EXTRA = ["/usr/lib/x86_64-linux-gnu/libnss_dns.so.2", "/usr/lib/x86_64-linux-gnu/libnss_files.so.2", "/etc/debian_version", "/usr/lib/os-release",
         "/etc/ld.so.conf", "/etc/ld.so.conf.d/x86_64-linux-gnu.conf"]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # Made by the package ca-certificates when it is installed.
MERGED = ("bin", "lib", "lib64", "sbin")  # Debian's links to the folders in /usr.
USER = 65532


def _run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _merged(path):
    """Where a file lies once the links of MERGED are followed, but not its own."""
    first, _, rest = path.strip("/").partition("/")
    return f"/usr/{first}/{rest}" if first in MERGED else path


def libraries(program):
    """What the loader would load with it; a library that is missing is an error."""
    listing = _run("ldd", str(program))
    missing = re.findall(r"(\S+) => not found", listing)
    if missing:
        raise RuntimeError(f"{program}: needs {', '.join(missing)}, which this machine has not")
    return re.findall(r"(/\S+) \(0x", listing)


class Packages:
    """Which Debian package a file is of."""

    def __init__(self):
        self._of = {}
        for listing in pathlib.Path("/var/lib/dpkg/info").glob("*.list"):
            for path in listing.read_text().splitlines():
                self._of.setdefault(_merged(path), listing.stem.split(":")[0])

    def owner(self, path):
        return self._of.get(_merged(path))

    @staticmethod
    def status(name):
        return _run("dpkg-query", "--status", name)

    @staticmethod
    def field(name, field):
        # Of this machine's architecture first, where several are installed.
        return _run("dpkg-query", "-W", "-f", "${" + field + "}\n", name).splitlines()[0]


class Contents:
    """Files by their paths in the image, each with the package that it is of."""

    def __init__(self):
        self.packages = Packages()
        self.files = {}  # path -> (source or bytes, mode, package)
        self.links = {}  # path -> target

    def add(self, path, source, package, mode=0o644):
        self.files[path] = (source, mode, package)

    def add_system(self, path):
        """A file of Debian, the links that lead to it, and the libraries it needs."""
        path = _merged(path)
        while os.path.islink(path):
            target = os.readlink(path)
            self.links[path] = target
            path = _merged(os.path.normpath(os.path.join(os.path.dirname(path), target)))
        if path in self.files:
            return
        package = self.packages.owner(path)
        if package is None:
            raise RuntimeError(f"{path} is of no Debian package")
        executable = os.access(path, os.X_OK)
        self.add(path, path, package, 0o755 if executable else 0o644)
        with open(path, "rb") as file:
            is_elf = file.read(4) == b"\x7fELF"
        if is_elf:
            self.add_libraries(path)

    def add_libraries(self, program):
        for library in libraries(program):
            self.add_system(library)

    def debian_packages(self):
        return sorted({package for _, _, package in self.files.values()} - {"tepal", "onnxruntime"})


def _stripped(source):
    with tempfile.TemporaryDirectory() as folder:
        _run("strip", "--strip-unneeded", "-o", f"{folder}/out", str(source))
        return pathlib.Path(folder, "out").read_bytes()


def collect_system(contents):
    for name in PROGRAMS:
        contents.add_system(f"/usr/bin/{name}")
    contents.links["/usr/bin/sh"] = "dash"
    for path in EXTRA:
        contents.add_system(path)
    contents.links["/etc/os-release"] = "../usr/lib/os-release"
    contents.add(CERTIFICATES, CERTIFICATES, "ca-certificates")
    contents.add("/etc/passwd", f"root:x:0:0:root:/root:/usr/sbin/nologin\ntepal:x:{USER}:{USER}:tepal:/tmp:/bin/sh\n".encode(), "tepal")
    contents.add("/etc/group", f"root:x:0:\ntepal:x:{USER}:\n".encode(), "tepal")
    contents.add("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n", "tepal")
    for folder in MERGED:
        contents.links["/" + folder] = "usr/" + folder


def collect_ours(contents, repository, build):
    contents.add("/usr/bin/tepal", _stripped(build / "bin/tepal"), "tepal", 0o755)
    contents.add_libraries(build / "bin/tepal")
    backend = build / "lib/tepal/backends/onnxruntime"
    for path in sorted(backend.iterdir()):
        target = f"/usr/lib/tepal/backends/onnxruntime/{path.name}"
        if path.is_symlink() and (backend / os.readlink(path)).parent == backend:
            contents.links[target] = os.readlink(path)
        elif "libonnxruntime.so" in path.name:
            contents.add(target, path.read_bytes(), "onnxruntime", 0o755)
        elif path.suffix == ".so":
            contents.add(target, _stripped(path), "tepal", 0o755)
        for library in libraries(path) if ".so" in path.name else ():
            if str(backend) not in os.path.realpath(library) and contents.packages.owner(library):
                contents.add_system(library)
    contents.add("/usr/lib/tepal/libtritonserver.so", _stripped(build / "lib/tepal/libtritonserver.so"), "tepal", 0o755)
    # Where Triton's users look for them; backends of their own may be mounted into that folder.
    contents.links["/opt/tritonserver/bin/tritonserver"] = "/usr/bin/tepal"
    contents.links["/opt/tritonserver/backends"] = "/usr/lib/tepal/backends"
    contents.links["/usr/bin/nvidia-mig-parted"] = "tepal"
    contents.links["/adapter"] = "/usr/bin/tepal"  # prometheus-adapter.
    contents.add("/usr/share/doc/tepal/copyright", (repository / "LICENSE").read_bytes(), "tepal")
    for notice in ("LICENSE", "ThirdPartyNotices.txt"):
        contents.add(f"/usr/share/doc/onnxruntime/{notice}", (repository / ".cache/onnxruntime" / notice).read_bytes(), "onnxruntime")


def collect_notices(contents):
    """The licence of every package, and its entry in dpkg's database where scanners look for it in images of this kind."""
    for package in contents.debian_packages():
        source = f"/usr/share/doc/{package}/copyright"
        contents.add(source, os.path.realpath(source), package)
        contents.add(f"/var/lib/dpkg/status.d/{package}", contents.packages.status(package).encode(), package)


def read(source):
    return source if isinstance(source, bytes) else pathlib.Path(source).read_bytes()


def spdx(contents, version, onnxruntime, created):
    """The SBOM as an SPDX 2.3 document."""
    def identifier(kind, name):
        return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)

    unknown = "NOASSERTION"
    packages = [{"name": "tepal", "SPDXID": identifier("Package", "tepal"), "versionInfo": version, "supplier": "Organization: The Tepal maintainers",
                 "licenseDeclared": "Apache-2.0", "primaryPackagePurpose": "APPLICATION"},
                {"name": "onnxruntime", "SPDXID": identifier("Package", "onnxruntime"), "versionInfo": onnxruntime["version"],
                 "supplier": unknown, "licenseDeclared": "MIT",
                 "checksums": [{"algorithm": "SHA256", "checksumValue": onnxruntime["sha256"]}],
                 "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                   "referenceLocator": f"pkg:pypi/onnxruntime@{onnxruntime['version']}"}]}]
    for name in contents.debian_packages():
        field = lambda what: contents.packages.field(name, what)
        packages.append({
            "name": name, "SPDXID": identifier("Package", name), "versionInfo": field("Version"), "supplier": f"Person: {field('Maintainer')}",
            "sourceInfo": f"built from Debian's source package {field('source:Package')} {field('source:Version')}", "licenseDeclared": unknown,
            "licenseComments": f"/usr/share/doc/{name}/copyright in the image",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator":
                              f"pkg:deb/debian/{name}@{field('Version').replace('+', '%2B').replace(':', '%3A')}?arch={field('Architecture')}&distro=debian-12"}]})
    for package in packages:
        package.update({"downloadLocation": unknown, "filesAnalyzed": False, "licenseConcluded": unknown, "copyrightText": unknown})
    files, relations, everything = [], [], hashlib.sha256()
    for path, (source, _, package) in sorted(contents.files.items()):
        data = read(source)
        sums = {"SHA1": hashlib.sha1(data).hexdigest(), "SHA256": hashlib.sha256(data).hexdigest()}
        everything.update(f"{path} {sums['SHA256']}\n".encode())
        files.append({"fileName": "." + path, "SPDXID": identifier("File", path), "licenseConcluded": unknown, "copyrightText": unknown,
                      "checksums": [{"algorithm": name, "checksumValue": value} for name, value in sums.items()]})
        relations.append({"spdxElementId": identifier("Package", package), "relationshipType": "CONTAINS", "relatedSpdxElement": identifier("File", path)})
    for package in packages[1:]:
        relations.append({"spdxElementId": identifier("Package", "tepal"), "relationshipType": "DEPENDS_ON", "relatedSpdxElement": package["SPDXID"]})
    relations.append({"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": identifier("Package", "tepal")})
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"tepal-{version}",
            "documentNamespace": f"https://tepal.invalid/spdx/tepal-{version}-{everything.hexdigest()}",
            "creationInfo": {"created": created, "creators": ["Tool: tepal-image"]}, "packages": packages, "files": files, "relationships": relations}
