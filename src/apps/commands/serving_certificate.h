// The certificate that `tepal metrics-api` shows: one from files, one that it made and left in a
// folder, or one that it made and keeps in memory.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/commands/certificate_watch.h"
#include "core/base/result.h"
#include "core/env/clock.h"
#include "core/env/file_system.h"
#include "network/net/tls.h"

namespace tepal::commands {

struct CertificateWish {
  std::string certificate_file, key_file;  // Both or neither.
  std::string folder;                      // apiserver.crt and apiserver.key; may be empty.
  std::vector<std::string> names;          // Of one that is made; the first is its common name.
  std::vector<std::string> addresses;
};

struct ServingCertificate {
  std::shared_ptr<net::TlsSource> tls;  // Asks clients for a certificate and takes any.
  // PEM of what a client is to trust; empty when somebody else's authority signed it.
  std::string authority;
  bool made = false;  // Just now.
};

// `watch` loads it again when its files change; it, `files` and `clock` outlive the source.
Result<ServingCertificate> OpenServingCertificate(env::FileSystem& files, const env::Clock& clock,
                                                  CertificateWatch& watch,
                                                  const CertificateWish& wish);

}  // namespace tepal::commands
