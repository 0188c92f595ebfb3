// Who is asking: by the front proxy's headers, by a client's own certificate, by a bearer token
// that the API server reviews. Nobody of them: system:anonymous.
//
// As Kubernetes' own servers: the first way that names somebody counts; when none does and one of
// them was tried in vain (a certificate of an unknown authority, a token that is not valid), the
// answer is 401 and not anonymous. One loop.

#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/event_loop.h"
#include "network/http/headers.h"
#include "network/net/tls_peer.h"
#include "scaling/custom_metrics/review_cache.h"
#include "scaling/custom_metrics/reviews.h"
#include "scaling/custom_metrics/trust.h"
#include "scaling/custom_metrics/user.h"

namespace tepal::custom_metrics {

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // What a request says about who sends it.
  struct Claims {
    const http::Headers& headers;
    std::shared_ptr<const net::PeerCertificates> shown;  // Null: no certificate.
  };
  // kUnauthenticated: 401. kUnavailable: it cannot be said now. `done` runs once, perhaps inside
  // the call.
  virtual void Authenticate(const Claims& claims, Function<void(Result<User>)> done) = 0;
};

class DelegatingAuthenticator final : public Authenticator {
 public:
  struct World {
    env::EventLoop& loop;
    Function<std::shared_ptr<const Trust>()> trust;  // Of now; null: not known yet.
    Reviews* reviews;                                // Null: tokens are not looked at.
  };
  struct Options {
    Duration token_keep = 10s;  // Of a token's review, good or bad.
    size_t chains_max = 256;    // Certificates that were checked and are remembered.
  };
  DelegatingAuthenticator(World world, Options options);

  void Authenticate(const Claims& claims, Function<void(Result<User>)> done) override;

  const ReviewCache<User>::Counts& token_counts() const { return tokens_->counts(); }

 private:
  // A chain and what it is worth under one Trust.
  struct Checked {
    std::shared_ptr<const net::PeerCertificates> shown;  // Also so that no other has its address.
    std::shared_ptr<const Trust> trust;
    Result<net::CertifiedPeer> front_proxy;
    Result<net::CertifiedPeer> client;
  };

  const Checked& Check(const std::shared_ptr<const net::PeerCertificates>& shown,
                       const std::shared_ptr<const Trust>& trust);
  Result<User> ByCertificate(const Claims& claims);
  void ByToken(const std::string& token, Function<void(Result<User>)> done);

  World world_;
  const Options options_;
  std::list<Checked> chains_;  // Newest first.
  // User with an empty name: the token is not valid.
  std::shared_ptr<ReviewCache<User>> tokens_;
};

}  // namespace tepal::custom_metrics
