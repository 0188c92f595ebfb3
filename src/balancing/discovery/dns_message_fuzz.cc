// Whatever bytes come in, an answer is read or refused, and what is waited for goes on or ends.

#include <cstddef>
#include <cstdint>
#include <span>

#include "balancing/discovery/dns_exchange.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace discovery = tepal::discovery;
  const auto bytes = std::as_bytes(std::span(data, size));
  // Asks for what the bytes answer, if they are an answer, so that they get past the first look.
  const auto answer = discovery::ReadDnsAnswer(bytes);
  discovery::DnsQuestion question{0, "pods.svc", discovery::DnsType::kA};
  if (answer.ok()) {
    question = {answer->id, answer->question,
                static_cast<discovery::DnsType>(answer->question_type)};
    if (!discovery::WriteDnsQuestion(question).ok()) question.name = "pods.svc";
  }
  discovery::DnsExchange exchange(question, tepal::Instant(std::chrono::seconds(1)));
  (void)exchange.OnTime({});
  if (exchange.OnDatagram(bytes, {}) == discovery::DnsExchange::Step::kEnded) {
    (void)exchange.result().ok();
  }
  if (!answer.ok()) return 0;
  for (const auto type :
       {discovery::DnsType::kA, discovery::DnsType::kAaaa, discovery::DnsType::kSrv}) {
    (void)discovery::RecordsFor(*answer, answer->question, type);
  }
  return 0;
}
