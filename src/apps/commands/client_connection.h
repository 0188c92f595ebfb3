// What `infer` and `bench` share: a loop, an HTTP client on it, the server's address, the photos.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/runtime/runtime.h"
#include "network/net/http_client.h"
#include "serving/client/v2_client.h"
#include "serving/image/image.h"

namespace tepal::commands {

struct ClientConnection {
  std::unique_ptr<runtime::EpollLoop> loop;
  std::unique_ptr<net::HttpClient> http;
  env::Address server;

  // `url`: HOST:PORT, http://HOST:PORT or unix:PATH.
  static Result<ClientConnection> Open(const std::string& url);

  // Asks for the model until it answers or `wait` has passed; once when `wait` is zero.
  Result<client::ModelDeclaration> FetchModel(const std::string& model, Duration wait);
};

struct Photo {
  std::string path;
  image::Image image;
};

// The photos among `paths`; folders are searched, not deeper, for .jpg, .jpeg and .png. In order of
// name. kNotFound when there is none.
Result<std::vector<std::string>> FindPhotos(const std::vector<std::string>& paths);
Result<Photo> ReadPhoto(const std::string& path);

}  // namespace tepal::commands
