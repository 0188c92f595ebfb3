// Keeps the certificates of the doors fresh: loads them again when one of their files has changed,
// and when it is told to (SIGHUP).
//
// Files are looked at on an executor, because a disk may be slow, and at most by one task at a
// time. A change is another time of modification or another size; links are followed, so the
// swapped links of Kubernetes' secrets are seen. What cannot be loaded (a certificate whose key has
// not been written yet) is logged and the old one stays in use; it is tried again at every look,
// and logged again only when the reason is another. Connections that stand keep what they began
// with.
//
// Used on the loop's thread; the loop, the executor and the files outlive it.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "core/env/file_system.h"
#include "network/net/tls.h"

namespace tepal::commands {

class CertificateWatch {
 public:
  struct World {
    env::EventLoop& loop;
    env::Executor& executor;
    env::FileSystem& files;
  };

  // Looks every `interval`; 0: only when told to.
  CertificateWatch(const World& world, Duration interval);
  ~CertificateWatch();

  // `open` loads what is in `paths` for the first time, and its source loads them again. `name` is
  // what the log says. Before Start.
  using Open = Function<Result<std::shared_ptr<net::TlsSource>>()>;
  Result<std::shared_ptr<net::TlsSource>> Add(std::string name, std::vector<std::string> paths,
                                              Open open);
  bool empty() const;

  void Start();

  // Loads all of them again, changed or not.
  void ReloadNow();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::commands
