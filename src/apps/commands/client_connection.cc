#include "apps/commands/client_connection.h"

#include <algorithm>
#include <optional>

#include "core/base/text.h"
#include "network/net/resolver.h"

namespace tepal::commands {
namespace {

constexpr uint64_t kPhotoBytesMax = 64 << 20;
constexpr Duration kRetryPause = 100ms;

bool IsPhotoName(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view extension = name.substr(dot + 1);
  return EqualsIgnoreCase(extension, "jpg") || EqualsIgnoreCase(extension, "jpeg") ||
         EqualsIgnoreCase(extension, "png");
}

}  // namespace

Result<ClientConnection> ClientConnection::Open(const std::string& url) {
  ClientConnection connection;
  ASSIGN_OR_RETURN(connection.loop, runtime::EpollLoop::New());
  ASSIGN_OR_RETURN(const net::HostPort name, net::HostPort::Parse(url, 8000));
  ASSIGN_OR_RETURN(const std::vector<env::Address> addresses, net::ResolveBlocking(name));
  connection.server = addresses.front();
  net::HttpClient::Options options;
  options.idle_connections_max = 4096;
  connection.http = std::make_unique<net::HttpClient>(*connection.loop, options);
  return connection;
}

Result<client::ModelDeclaration> ClientConnection::FetchModel(const std::string& model,
                                                              Duration wait) {
  client::V2Client v2(*http, server);
  std::optional<Result<client::ModelDeclaration>> answer;
  const Instant give_up = runtime::SystemClock().Now() + wait;
  Function<void()> ask;
  ask = [&] {
    v2.Metadata(model, 10s, [&](Result<client::ModelDeclaration> declaration) {
      if (!declaration.ok() && loop->Now() < give_up) {
        loop->RunAfter(kRetryPause, [&ask] { ask(); });
        return;
      }
      answer = std::move(declaration);
      loop->Stop();
    });
  };
  loop->Post([&ask] { ask(); });
  loop->Run();
  return std::move(*answer).WithContext(
      Concat("asking ", server.ToString(), " for model '", model, "'"));
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
