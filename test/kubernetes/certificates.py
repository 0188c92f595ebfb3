"""The certificates of a cluster that lives for one test run, by openssl, and the kubeconfigs that use them."""
import pathlib
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        _openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 2, "-out", self.certificate)

    def issue(self, file_name, subject, names=(), server=False, days=2):
        """A certificate and its key as FILE_NAME.crt and .key; returns both paths."""
        stem = self.folder / file_name
        key, request, extensions, certificate = (pathlib.Path(f"{stem}.{end}") for end in ("key", "csr", "ext", "crt"))
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        _openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        lines = ["extendedKeyUsage=" + ("serverAuth" if server else "clientAuth")]
        if names:
            lines.append("subjectAltName=" + ",".join(names))
        extensions.write_text("\n".join(lines) + "\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                 "-days", days, "-extfile", extensions, "-out", certificate)
        request.unlink()
        extensions.unlink()
        return certificate, key


def signing_key(folder):
    """For service account tokens: the private and the public part."""
    private, public = folder / "sa.key", folder / "sa.pub"
    _openssl("genrsa", "-out", private, 2048)
    _openssl("rsa", "-in", private, "-pubout", "-out", public)
    return private, public


def kubeconfig(path, server, authority, certificate, key):
    path.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{server}", certificate-authority: {authority.certificate}}}}}]
users: [{{name: user, user: {{client-certificate: {certificate}, client-key: {key}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: user}}}}]
current-context: test
""")
    return path
