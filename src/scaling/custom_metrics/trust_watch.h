// Keeps what the cluster says about trust as it says it, and what flags say over it.
//
// A change takes effect for the next request, on connections that stand too. What cannot be read
// (a bundle without a certificate) is logged and the old stays. One loop.

#pragma once

#include <memory>

#include "core/env/random.h"
#include "network/kube/client.h"
#include "network/kube/informer.h"
#include "scaling/custom_metrics/trust.h"

namespace tepal::custom_metrics {

class TrustWatch {
 public:
  // `client` null: the cluster is not asked (--authentication-skip-lookup), flags say it all.
  // All outlive it.
  TrustWatch(env::EventLoop& loop, kube::Client* client, env::Random& random);
  ~TrustWatch();

  // The error is that of the flags' own texts.
  Status Start(TrustConfig flags);
  // Their files have changed.
  Status SetFlags(TrustConfig flags);

  // Null: not known yet.
  std::shared_ptr<const Trust> Get() const { return trust_; }
  // Why it is not known.
  Status Health() const;

 private:
  void OnConfigMap(const kube::Change& change);
  Status Apply();

  env::EventLoop& loop_;
  kube::Client* const client_;
  env::Random& random_;
  std::unique_ptr<kube::Informer> informer_;
  TrustConfig flags_;
  std::optional<TrustConfig> cluster_;  // Empty: not read yet.
  std::shared_ptr<const Trust> trust_;
  Status trouble_;
};

}  // namespace tepal::custom_metrics
