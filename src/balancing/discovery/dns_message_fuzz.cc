// Whatever bytes come in, an answer is read or refused.

#include <cstddef>
#include <cstdint>
#include <span>

#include "balancing/discovery/dns_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace discovery = tepal::discovery;
  const auto answer = discovery::ReadDnsAnswer(std::as_bytes(std::span(data, size)));
  if (!answer.ok()) return 0;
  for (const auto type :
       {discovery::DnsType::kA, discovery::DnsType::kAaaa, discovery::DnsType::kSrv}) {
    (void)discovery::RecordsFor(*answer, answer->question, type);
  }
  return 0;
}
