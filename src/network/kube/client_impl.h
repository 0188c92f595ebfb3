// Inside of client.cc: addresses, credentials and the HTTP client that requests and watches share.

#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "network/kube/client.h"
#include "network/kube/credentials.h"
#include "network/net/http_client.h"

namespace tepal::kube {

// Owned by the client and by the callbacks in progress, which hold it weakly.
struct Client::Impl : public std::enable_shared_from_this<Client::Impl> {
 public:
  Impl(env::EventLoop& loop, World world, ClusterAccess access, Options options,
       std::unique_ptr<Credentials> credentials);
  ~Impl();

  void Send(Request request, Done done, bool second_try);
  std::unique_ptr<Watching> Watch(Request request, Duration time_max,
                                  Function<void(WatchEvent)> on_event, Done on_end);

  // Spread, so that the watches of a process do not all end at once.
  Duration NextWatchTime();

  const ClusterAccess& access() const { return access_; }
  const Options& options() const { return options_; }
  env::EventLoop& loop() { return loop_; }
  net::HttpClient& http() { return *http_; }

  // Calls back with where to connect to, at once when that is known.
  void WithAddress(Function<void(Result<env::Address>)> use);
  // No connection could be made, or it broke: another address next time.
  void OnTransportFailure();
  // A 401: true when it is worth trying again.
  bool OnUnauthorized() { return credentials_->RefreshToken(loop_.Now()); }
  http::RequestHead HeadOf(const Request& request);

 private:
  using UseAddress = Function<void(Result<env::Address>)>;

  void OnResolved(Result<std::vector<env::Address>> found);

  env::EventLoop& loop_;
  const World world_;
  const ClusterAccess access_;
  const Options options_;
  const std::unique_ptr<Credentials> credentials_;
  const std::unique_ptr<net::HttpClient> http_;
  std::vector<env::Address> addresses_;  // Empty: not resolved.
  size_t address_ = 0;                   // The one in use.
  std::deque<UseAddress> waiting_;       // For the resolver.
  uint64_t watches_ = 0;
};

}  // namespace tepal::kube
