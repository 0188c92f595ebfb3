// DNS messages (RFC 1035): a question written, an answer read. Nothing of how they travel.
//
// Pure; whatever bytes come are read or refused. Records of other kinds than those here are
// skipped.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tepal::discovery {

enum class DnsType : uint16_t { kA = 1, kCname = 5, kAaaa = 28, kSrv = 33 };

// RCODEs.
inline constexpr int kDnsFormatError = 1;
inline constexpr int kDnsServerFailure = 2;
inline constexpr int kDnsNotImplemented = 4;
inline constexpr int kDnsRefused = 5;

inline constexpr size_t kDnsNameMax = 253;      // As text.
inline constexpr size_t kDnsRecordsMax = 4096;  // Of one answer.

struct DnsRecord {
  std::string name;  // In lower case, without a dot at the end.
  DnsType type = DnsType::kA;
  uint32_t ttl_s = 0;
  std::string value;      // The address as text, or the name of CNAME and SRV.
  uint16_t priority = 0;  // SRV.
  uint16_t weight = 0;
  uint16_t port = 0;
};

struct DnsAnswer {
  uint16_t id = 0;
  int code = 0;  // RCODE; 3: there is no such name.
  bool truncated = false;
  std::string question;  // As it came back.
  uint16_t question_type = 0;
  std::vector<DnsRecord> records;  // Of the answer section; none of a truncated one.
};

struct DnsQuestion {
  uint16_t id = 0;
  std::string name;
  DnsType type = DnsType::kA;
};

// kInvalidArgument for a name that is none (empty or too long labels). `datagram_max`: says by
// EDNS (RFC 6891) that the answer may be a datagram of so many bytes; 0: of 512, without a word.
Result<std::vector<std::byte>> WriteDnsQuestion(const DnsQuestion& question,
                                                uint16_t datagram_max = 0);

Result<DnsAnswer> ReadDnsAnswer(std::span<const std::byte> message);

// Whether it has the question's id and repeats the question.
bool AnswersQuestion(const DnsAnswer& answer, const DnsQuestion& question);

// The records of `type` that answer for `name`, CNAMEs followed.
std::vector<DnsRecord> RecordsFor(const DnsAnswer& answer, std::string_view name, DnsType type);

}  // namespace tepal::discovery
