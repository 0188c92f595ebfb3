#include "balancing/discovery/dns_message.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

#include "core/base/text.h"

namespace tepal::discovery {

namespace {

constexpr size_t kLabelMax = 63;
constexpr int kPointersMax = 32;  // Of one name; a loop has more.
constexpr int kCnamesMax = 16;
constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kOptType = 41;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

void Put16(std::vector<std::byte>& out, uint16_t value) {
  out.push_back(static_cast<std::byte>(value >> 8));
  out.push_back(static_cast<std::byte>(value & 0xff));
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool Get16(uint16_t& value) {
    if (bytes_.size() - at_ < 2) return false;
    value = static_cast<uint16_t>(At(at_) << 8 | At(at_ + 1));
    at_ += 2;
    return true;
  }
  bool Get32(uint32_t& value) {
    uint16_t high;
    uint16_t low;
    if (!Get16(high) || !Get16(low)) return false;
    value = static_cast<uint32_t>(high) << 16 | low;
    return true;
  }
  // A name that may point back to others.
  bool GetName(std::string& name) { return ReadName(at_, name, &at_); }
  bool NameAt(size_t position, std::string& name) const {
    return ReadName(position, name, nullptr);
  }
  bool Skip(size_t bytes) {
    if (bytes_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }
  size_t at() const { return at_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  unsigned At(size_t i) const { return static_cast<unsigned>(bytes_[i]); }

  bool ReadName(size_t position, std::string& name, size_t* end) const {
    name.clear();
    int pointers = 0;
    for (;;) {
      if (position >= bytes_.size()) return false;
      const unsigned length = At(position);
      if (length >= 0xc0) {
        if (position + 1 >= bytes_.size() || ++pointers > kPointersMax) return false;
        if (end != nullptr) *end = position + 2;
        end = nullptr;
        position = (length & 0x3f) << 8 | At(position + 1);
        continue;
      }
      if (length > kLabelMax || position + 1 + length > bytes_.size()) return false;
      if (length == 0) {
        if (end != nullptr) *end = position + 1;
        return true;
      }
      if (!name.empty()) name += '.';
      for (size_t i = 0; i < length; ++i) name += static_cast<char>(At(position + 1 + i));
      if (name.size() > kDnsNameMax) return false;
      position += 1 + length;
    }
  }

  const std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

std::optional<std::string> AddressText(int family, std::span<const std::byte> data) {
  if (data.size() != (family == AF_INET ? 4u : 16u)) return std::nullopt;
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, data.data(), text, sizeof(text));
  return std::string(text);
}

bool ReadSrv(const Reader& whole, size_t position, size_t size, DnsRecord& record) {
  Reader data(whole.bytes());
  return size >= 7 && data.Skip(position) && data.Get16(record.priority) &&
         data.Get16(record.weight) && data.Get16(record.port) &&
         whole.NameAt(position + 6, record.value);
}

// False for what is broken; `kept` for what is of a known type.
bool ReadRecord(Reader& reader, DnsRecord& record, bool& kept) {
  uint16_t type;
  uint16_t record_class;
  uint16_t size;
  if (!reader.GetName(record.name) || !reader.Get16(type) || !reader.Get16(record_class) ||
      !reader.Get32(record.ttl_s) || !reader.Get16(size)) {
    return false;
  }
  const size_t position = reader.at();
  if (!reader.Skip(size)) return false;
  record.name = Lower(record.name);
  record.type = static_cast<DnsType>(type);
  kept = record_class == kClassInternet;
  if (!kept) return true;
  const auto data = reader.bytes().subspan(position, size);
  switch (record.type) {
    case DnsType::kA:
    case DnsType::kAaaa: {
      const auto text = AddressText(record.type == DnsType::kA ? AF_INET : AF_INET6, data);
      record.value = text.value_or("");
      return text.has_value();
    }
    case DnsType::kCname:
      if (!reader.NameAt(position, record.value)) return false;
      break;
    case DnsType::kSrv:
      if (!ReadSrv(reader, position, size, record)) return false;
      break;
    default:
      kept = false;
  }
  record.value = Lower(record.value);
  return true;
}

Status Broken() { return InvalidArgument("the DNS answer is malformed"); }

}  // namespace

Result<std::vector<std::byte>> WriteDnsQuestion(const DnsQuestion& question,
                                                uint16_t datagram_max) {
  std::string_view name = question.name;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kDnsNameMax) {
    return InvalidArgument(Concat("'", name, "' is no name: 1 to 253 bytes are expected"));
  }
  std::vector<std::byte> message;
  Put16(message, question.id);
  Put16(message, 0x0100);  // Recursion is desired.
  Put16(message, 1);       // One question; no records but, maybe, EDNS's.
  Put16(message, 0);
  Put16(message, 0);
  Put16(message, datagram_max > 0 ? 1 : 0);
  for (const std::string_view label : Split(name, '.')) {
    if (label.empty() || label.size() > kLabelMax) {
      return InvalidArgument(Concat("'", name, "' is no name: its parts have 1 to 63 bytes"));
    }
    message.push_back(static_cast<std::byte>(label.size()));
    for (const char c : label) message.push_back(static_cast<std::byte>(c));
  }
  message.push_back(std::byte{0});
  Put16(message, static_cast<uint16_t>(question.type));
  Put16(message, kClassInternet);
  if (datagram_max == 0) return message;
  message.push_back(std::byte{0});  // The root's name; version 0, no flags, no options.
  for (const uint16_t field : {kOptType, datagram_max, uint16_t{0}, uint16_t{0}, uint16_t{0}}) {
    Put16(message, field);
  }
  return message;
}

Result<DnsAnswer> ReadDnsAnswer(std::span<const std::byte> message) {
  Reader reader(message);
  DnsAnswer answer;
  uint16_t flags;
  uint16_t questions;
  uint16_t records;
  if (!reader.Get16(answer.id) || !reader.Get16(flags) || !reader.Get16(questions) ||
      !reader.Get16(records) || !reader.Skip(4)) {
    return Broken();
  }
  if ((flags & 0x8000) == 0) return InvalidArgument("the DNS message is a question");
  answer.code = flags & 0x0f;
  answer.truncated = (flags & 0x0200) != 0;
  for (int i = 0; i < questions; ++i) {
    if (!reader.GetName(answer.question) || !reader.Get16(answer.question_type) ||
        !reader.Skip(2)) {
      return Broken();
    }
  }
  answer.question = Lower(answer.question);
  if (answer.truncated) return answer;  // Wherever it was cut.
  if (records > kDnsRecordsMax) {
    return ResourceExhausted(
        Concat("the DNS answer has ", records, " records, expected at most ", kDnsRecordsMax));
  }
  for (int i = 0; i < records; ++i) {
    DnsRecord record;
    bool kept = false;
    if (!ReadRecord(reader, record, kept)) return Broken();
    if (kept) answer.records.push_back(std::move(record));
  }
  return answer;
}

bool AnswersQuestion(const DnsAnswer& answer, const DnsQuestion& question) {
  std::string_view name = question.name;
  if (name.ends_with('.')) name.remove_suffix(1);
  return answer.id == question.id && EqualsIgnoreCase(answer.question, name) &&
         answer.question_type == static_cast<uint16_t>(question.type);
}

std::vector<DnsRecord> RecordsFor(const DnsAnswer& answer, std::string_view name, DnsType type) {
  std::string wanted = Lower(name);
  if (wanted.ends_with('.')) wanted.pop_back();
  std::vector<DnsRecord> found;
  uint32_t ttl_s = UINT32_MAX;  // The least along the chain.
  for (int i = 0; i < kCnamesMax; ++i) {
    std::string next;
    for (const DnsRecord& record : answer.records) {
      if (record.name != wanted) continue;
      if (record.type == type) found.push_back(record);
      if (record.type == DnsType::kCname && next.empty()) {
        next = record.value;
        ttl_s = std::min(ttl_s, record.ttl_s);
      }
    }
    if (!found.empty() || next.empty()) break;
    wanted = next;
  }
  for (DnsRecord& record : found) record.ttl_s = std::min(record.ttl_s, ttl_s);
  return found;
}

}  // namespace tepal::discovery
