// What `infer` and `bench` share: flags that say which server and how, a loop, a client of the v2
// protocol on it, the photos.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options/flags.h"
#include "core/runtime/runtime.h"
#include "network/net/http_client.h"
#include "serving/client/v2_client.h"
#include "serving/image/image.h"

namespace tepal::commands {

struct ConnectionFlags {
  std::string url = "127.0.0.1";
  std::string protocol = "http";
  bool streaming = false;
  std::string shared_memory = "none";
  bool tls = false;
  std::string tls_ca, tls_cert, tls_key;
  bool tls_insecure = false;
  Duration timeout = 60s;
  Duration wait{};

  bool grpc() const { return protocol == "grpc"; }
  bool in_shared_memory() const { return shared_memory == "system"; }
  // kInvalidArgument for values that are unknown or do not go together.
  Status Check() const;
};
void AddConnectionFlags(options::FlagSet& set, ConnectionFlags& flags);

class ClientConnection {
 public:
  static Result<ClientConnection> Open(const ConnectionFlags& flags);

  runtime::EpollLoop& loop() { return *loop_; }
  const env::Address& server() const { return server_; }
  client::V2Client& v2() { return *v2_; }

  // A client with connections of its own.
  std::unique_ptr<net::HttpClient> NewHttpClient() const;

  // Runs the loop until `start`, given what to call, has called it.
  template <typename T>
  T Await(Function<void(Function<void(T)>)> start) {
    std::optional<T> answer;
    loop_->Post([&] {
      start([&](T given) {
        answer.emplace(std::move(given));
        loop_->Stop();
      });
    });
    loop_->Run();
    return std::move(*answer);
  }

  // Asks for the model until it answers or `wait` has passed; once when `wait` is zero.
  Result<client::ModelDeclaration> FetchModel(const std::string& model, Duration wait);

 private:
  std::unique_ptr<runtime::EpollLoop> loop_;
  env::Address server_;
  net::HttpClient::Options options_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<client::V2Client> v2_;
};

// Tells the server of regions, and that they are gone. Register takes back those before the one
// that fails.
Status Register(ClientConnection& connection, const std::vector<client::SharedRegion>& regions);
Status Unregister(ClientConnection& connection, const std::vector<client::SharedRegion>& regions);

struct Photo {
  std::string path;
  image::Image image;
};

// The photos among `paths`; folders are searched, not deeper, for .jpg, .jpeg and .png. In order of
// name. kNotFound when there is none.
Result<std::vector<std::string>> FindPhotos(const std::vector<std::string>& paths);
Result<Photo> ReadPhoto(const std::string& path);

}  // namespace tepal::commands
