// Asks endpoints which models they have ready, and how loaded they are: GET /v2/tepal/load of our
// own server, the READY entries of POST /v2/repository/index of any other.
//
// What an endpoint does not know is not asked for again for kSilentFor. Owned by the control loop.

#pragma once

#include <memory>
#include <unordered_map>

#include "balancing/load_balancer/endpoint.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/net/http_client.h"
#include "serving/kserve_wire/model_load.h"

namespace tepal::lb {

class ModelProbe {
 public:
  static constexpr Duration kInterval = 1s;    // Between two questions to one endpoint,
  static constexpr uint32_t kRateMax = 500;    // or longer, so that so many a second suffice.
  static constexpr Duration kTimeMax = 2s;     // For an answer.
  static constexpr Duration kSilentFor = 30s;  // An endpoint that can not say is left alone.
  static constexpr size_t kBodyBytesMax = 4u << 20;

  ModelProbe(env::EventLoop& loop, std::shared_ptr<net::TlsSource> tls);
  ~ModelProbe();  // What is under way is not answered.

  // Asks when it is time, of `endpoints` in all; else does nothing. `done` gets null when the
  // endpoint cannot say, and is not called when it could not be reached.
  void Ask(EndpointId endpoint, const env::Address& address, size_t endpoints,
           Function<void(const ServerLoad*)> done);

  // The endpoint has gone.
  void Forget(EndpointId endpoint) { asked_.erase(endpoint); }

 private:
  struct Asked {
    Instant next{};
    bool index = false;  // It does not know our own path.
    bool under_way = false;
  };
  void Send(EndpointId endpoint, const env::Address& address,
            Function<void(const ServerLoad*)> done);

  env::EventLoop& loop_;
  std::unique_ptr<net::HttpClient> client_;
  std::unordered_map<EndpointId, Asked> asked_;
};

}  // namespace tepal::lb
