// Whatever bytes come in, a kubeconfig is read or refused with a message.

#include <cstddef>
#include <cstdint>

#include "core/base/check.h"
#include "network/kube/cluster_access.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto access = tepal::kube::ParseKubeconfig(text, "/etc/kubeconfig");
  if (access.ok()) {
    TEPAL_CHECK(!access->host.empty() && access->port != 0);
  } else {
    TEPAL_CHECK(!access.status().message().empty());
  }
  tepal::kube::ClusterAccess url;
  (void)tepal::kube::ParseServerUrl(text, url).ok();
  return 0;
}
