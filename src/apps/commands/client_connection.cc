#include "apps/commands/client_connection.h"

#include <utility>

#include "core/base/text.h"
#include "network/net/resolver.h"

namespace tepal::commands {
namespace {

constexpr uint64_t kPhotoBytesMax = 64 << 20;
constexpr Duration kRetryPause = 100ms;
constexpr Duration kMetadataTimeMax = 10s;
constexpr uint16_t kHttpPort = 8000, kGrpcPort = 8001;
constexpr uint32_t kIdleConnectionsMax = 10'000;
constexpr uint64_t kAnswerBytesMax = uint64_t{1} << 31;
constexpr std::string_view kHttps = "https://";

bool IsPhotoName(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view extension = name.substr(dot + 1);
  return EqualsIgnoreCase(extension, "jpg") || EqualsIgnoreCase(extension, "jpeg") ||
         EqualsIgnoreCase(extension, "png");
}

}  // namespace

Status ConnectionFlags::Check() const {
  if (protocol != "http" && protocol != "grpc") {
    return InvalidArgument(Concat("--protocol: got '", protocol, "', expected http or grpc"));
  }
  if (streaming && !grpc()) {
    return InvalidArgument("--streaming: only gRPC has streams; expected --protocol grpc with it");
  }
  if (shared_memory == "cuda") {
    return InvalidArgument(
        "--shared-memory: cuda is not supported by this client; expected none or system");
  }
  if (shared_memory != "none" && shared_memory != "system") {
    return InvalidArgument(
        Concat("--shared-memory: got '", shared_memory, "', expected none or system"));
  }
  if (tls_cert.empty() != tls_key.empty()) {
    return InvalidArgument("--tls-cert and --tls-key: expected both or neither");
  }
  return {};
}

void AddConnectionFlags(options::FlagSet& set, ConnectionFlags& flags) {
  set.Add("url", &flags.url,
          "The server or balancer: HOST[:PORT], http://HOST, https://HOST or unix:PATH. Without a "
          "port 8000, or 8001 for gRPC.");
  set.Add("protocol", &flags.protocol, "http or grpc.");
  set.Add("streaming", &flags.streaming,
          "gRPC: requests go over ModelStreamInfer streams instead of a call each.");
  set.Add("shared-memory", &flags.shared_memory,
          "none, or system: tensors lie in POSIX shared memory, on this machine.");
  set.Add("tls", &flags.tls, "TLS, as https:// in the URL.");
  set.Add("tls-ca", &flags.tls_ca,
          "PEM file of who signs the server's certificate; empty: those the system trusts.");
  set.Add("tls-cert", &flags.tls_cert, "PEM file of this client's certificate, for mutual TLS.");
  set.Add("tls-key", &flags.tls_key, "PEM file of its key.");
  set.Add("tls-insecure", &flags.tls_insecure, "Take any certificate of the server.");
  set.Add("timeout", &flags.timeout, "Longest wait for one answer.");
  set.Add("wait", &flags.wait, "Wait so long for the model to become available.");
}

Result<ClientConnection> ClientConnection::Open(const ConnectionFlags& flags) {
  RETURN_IF_ERROR(flags.Check());
  ClientConnection connection;
  ASSIGN_OR_RETURN(connection.loop_, runtime::EpollLoop::New());
  std::string url = flags.url;
  const bool https = url.starts_with(kHttps);
  if (https) url = url.substr(kHttps.size());
  ASSIGN_OR_RETURN(const net::HostPort name,
                   net::HostPort::Parse(url, flags.grpc() ? kGrpcPort : kHttpPort));
  ASSIGN_OR_RETURN(const std::vector<env::Address> addresses, net::ResolveBlocking(name));
  connection.server_ = addresses.front();

  net::HttpClient::Options& options = connection.options_;
  options.idle_connections_max = kIdleConnectionsMax;
  options.limits.body_bytes_max = kAnswerBytesMax;
  options.http2 = flags.grpc();
  if (https || flags.tls) {
    // The name that was asked for, not the address it was found at, is what a certificate has.
    net::TlsSource::ClientFiles files{flags.tls_ca, flags.tls_cert, flags.tls_key,
                                      !flags.tls_insecure, ""};
    if (!name.host.starts_with("unix:")) files.server_name = name.host;
    ASSIGN_OR_RETURN(options.tls,
                     net::TlsSource::ForClient(runtime::SystemFileSystem(), runtime::SystemClock(),
                                               std::move(files)));
  }
  connection.http_ = connection.NewHttpClient();
  if (flags.grpc()) {
    connection.v2_ = client::NewGrpcV2Client(*connection.loop_, *connection.http_,
                                             connection.server_, {flags.streaming, flags.timeout});
  } else {
    connection.v2_ = client::NewHttpV2Client(*connection.http_, connection.server_);
  }
  return connection;
}

std::unique_ptr<net::HttpClient> ClientConnection::NewHttpClient() const {
  return std::make_unique<net::HttpClient>(*loop_, options_);
}

Result<client::ModelDeclaration> ClientConnection::FetchModel(const std::string& model,
                                                              Duration wait) {
  using Declaration = Result<client::ModelDeclaration>;
  const Instant give_up = runtime::SystemClock().Now() + wait;
  Function<void()> ask;
  return Await<Declaration>([&](Function<void(Declaration)> done) {
           ask = [&, done = std::move(done)]() mutable {
             v2_->Metadata(model, kMetadataTimeMax, [&](Declaration declaration) {
               if (declaration.ok() || loop_->Now() >= give_up) {
                 return done(std::move(declaration));
               }
               loop_->RunAfter(kRetryPause, [&ask] { ask(); });
             });
           };
           ask();
         })
      .WithContext(Concat("asking ", server_.ToString(), " for model '", model, "'"));
}

Status Register(ClientConnection& connection, const std::vector<client::SharedRegion>& regions) {
  for (size_t i = 0; i < regions.size(); ++i) {
    const Status status = connection.Await<Status>([&](Function<void(Status)> done) {
      connection.v2().Register(regions[i], kMetadataTimeMax, std::move(done));
    });
    if (status.ok()) continue;
    // What went wrong first is what is said.
    (void)Unregister(connection, {regions.begin(), regions.begin() + static_cast<ptrdiff_t>(i)});
    return Status(status).WithContext(
        Concat("registering shared memory at ", connection.server().ToString()));
  }
  return {};
}

Status Unregister(ClientConnection& connection, const std::vector<client::SharedRegion>& regions) {
  for (const client::SharedRegion& region : regions) {
    RETURN_IF_ERROR(connection.Await<Status>([&](Function<void(Status)> done) {
      connection.v2().Unregister(region.name, kMetadataTimeMax, std::move(done));
    }));
  }
  return {};
}

Result<std::vector<std::string>> FindPhotos(const std::vector<std::string>& paths) {
  std::vector<std::string> photos;
  env::FileSystem& files = runtime::SystemFileSystem();
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const env::FileSystem::Facts facts, files.Stat(path));
    if (!facts.is_directory) {
      photos.push_back(path);
      continue;
    }
    ASSIGN_OR_RETURN(const auto entries, files.List(path));
    for (const env::FileSystem::Entry& entry : entries) {
      if (!entry.is_directory && IsPhotoName(entry.name)) {
        photos.push_back(Concat(path, path.ends_with('/') ? "" : "/", entry.name));
      }
    }
  }
  if (photos.empty()) return NotFound("no photo found; expected .jpg, .jpeg or .png files");
  return photos;
}

Result<Photo> ReadPhoto(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, runtime::SystemFileSystem().Read(path, kPhotoBytesMax));
  ASSIGN_OR_RETURN(image::Image image,
                   image::Decode(std::as_bytes(std::span(bytes))).WithContext(path));
  return Photo{path, std::move(image)};
}

}  // namespace tepal::commands
