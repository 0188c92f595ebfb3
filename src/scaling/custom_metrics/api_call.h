// Inside of api_server.cc: one request from its first byte to its answer.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scaling/custom_metrics/api_server.h"

namespace tepal::custom_metrics {

// What a call needs of its server, which may go before the call ends.
class ApiHost {
 public:
  virtual ~ApiHost() = default;
  virtual const ApiServer::World& parts() const = 0;
  virtual const ApiServer::Options& settings() const = 0;
  // By name, for "healthz", "livez" or "readyz".
  virtual std::vector<std::pair<std::string, Status>> Checks(const std::string& which) = 0;
  // False: too many are in progress. Each Enter that gave true has its Leave; 0: not answered.
  virtual bool Enter(bool counted) = 0;
  virtual void Leave(bool counted, int http_status) = 0;
};

std::unique_ptr<http::RequestReceiver> NewApiCall(
    std::weak_ptr<ApiHost> host, http::RequestHead head,
    std::shared_ptr<const net::PeerCertificates> shown, http::ResponseSender& sender);

}  // namespace tepal::custom_metrics
