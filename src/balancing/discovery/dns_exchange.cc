#include "balancing/discovery/dns_exchange.h"

#include <algorithm>
#include <utility>

namespace tepal::discovery {

DnsExchange::DnsExchange(DnsQuestion question, Instant deadline)
    : question_(std::move(question)),
      deadline_(deadline),
      datagram_(WriteDnsQuestion(question_, kDnsDatagramMax).value()) {}

DnsExchange::Step DnsExchange::Send(Instant now) {
  const Duration wait = kDnsSendAgain * (int64_t{1} << sends_++);
  next_ = sends_ < kDnsSendsMax ? std::min(now + wait, deadline_) : deadline_;
  return Step::kSend;
}

DnsExchange::Step DnsExchange::OnTime(Instant now) {
  if (now >= deadline_) {
    result_ = DeadlineExceeded("no answer in time");
    return Step::kEnded;
  }
  return now < next_ ? Step::kWait : Send(now);
}

// A server that cannot read the question may leave it out of its answer.
bool DnsExchange::WantsNoEdns(const DnsAnswer& answer) const {
  const bool unread = answer.id == question_.id && answer.question.empty();
  return edns_ && (answer.code == kDnsFormatError || answer.code == kDnsNotImplemented) &&
         (unread || AnswersQuestion(answer, question_));
}

DnsExchange::Step DnsExchange::OnDatagram(std::span<const std::byte> datagram, Instant now) {
  Result<DnsAnswer> answer = ReadDnsAnswer(datagram);
  if (!answer.ok()) return Step::kWait;
  if (WantsNoEdns(*answer)) {
    edns_ = false;
    datagram_ = WriteDnsQuestion(question_).value();
    return sends_ < kDnsSendsMax ? Send(now) : Step::kWait;
  }
  if (!AnswersQuestion(*answer, question_)) return Step::kWait;
  result_ = std::move(answer);
  return Step::kEnded;
}

}  // namespace tepal::discovery
