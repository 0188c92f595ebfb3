// When the plugins must register with the kubelet (again): the decision, without a socket.
//
// A kubelet that starts removes every socket in its folder and forgets every plugin. It is seen by
// its own socket being a new one, or by ours being gone. Clockless; asked about once a second.

#pragma once

#include <optional>

#include "core/base/time.h"

namespace tepal::node_agent {

class KubeletWatch {
 public:
  enum class Action {
    kNothing,
    kRegister,  // Listen anew on every socket and register each.
    kStop,      // The kubelet is gone: nothing to register with.
  };

  struct Sight {
    std::optional<WallTime> kubelet_socket;  // When it was made; empty: it is not there.
    bool our_sockets = false;                // All of ours are there.
  };

  Action OnSight(const Sight& sight, Instant now) {
    if (!sight.kubelet_socket) {
      const bool was = registered_;
      registered_ = false;
      return was ? Action::kStop : Action::kNothing;
    }
    const bool same = registered_ && seen_ == sight.kubelet_socket && sight.our_sockets;
    if (same || (retry_at_ && now < *retry_at_)) return Action::kNothing;
    registered_ = true;
    seen_ = sight.kubelet_socket;
    retry_at_.reset();
    return Action::kRegister;
  }

  // A registration failed: again after a while.
  void OnFailure(Instant now) {
    registered_ = false;
    retry_at_ = now + 2s;
  }

 private:
  bool registered_ = false;
  std::optional<WallTime> seen_;
  std::optional<Instant> retry_at_;
};

}  // namespace tepal::node_agent
