// What somebody may do: asked of the API server by SubjectAccessReview, and remembered for a while.
//
// The health paths and the group system:masters are always allowed. What cannot be asked is not
// allowed: it is an error, never a yes. One loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/event_loop.h"
#include "scaling/custom_metrics/api_request.h"
#include "scaling/custom_metrics/review_cache.h"
#include "scaling/custom_metrics/reviews.h"
#include "scaling/custom_metrics/user.h"

namespace tepal::custom_metrics {

struct Decision {
  bool allowed = false;
  std::string reason;  // May be empty.
};

class Authorizer {
 public:
  virtual ~Authorizer() = default;
  // `done` runs once, perhaps inside the call.
  virtual void Authorize(const User& user, const RequestAttributes& asked,
                         Function<void(Result<Decision>)> done) = 0;
};

class DelegatingAuthorizer final : public Authorizer {
 public:
  struct Options {
    Duration allowed_keep = 10s;
    Duration denied_keep = 10s;
    // Paths of no resource; with '*' at its end all that begin so.
    std::vector<std::string> always_allowed = {"/healthz", "/livez", "/readyz"};
  };
  // Both outlive it.
  DelegatingAuthorizer(env::EventLoop& loop, Reviews& reviews, Options options);

  void Authorize(const User& user, const RequestAttributes& asked,
                 Function<void(Result<Decision>)> done) override;

  const ReviewCache<Decision>::Counts& counts() const { return decisions_->counts(); }

 private:
  bool AlwaysAllowed(const User& user, const RequestAttributes& asked) const;

  env::EventLoop& loop_;
  Reviews& reviews_;
  const Options options_;
  std::shared_ptr<ReviewCache<Decision>> decisions_;
};

// The question as it is sent.
std::string AccessReviewText(const User& user, const RequestAttributes& asked);

}  // namespace tepal::custom_metrics
