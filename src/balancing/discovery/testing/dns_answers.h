// DNS answers written byte by byte, for tests of whoever reads them.

#pragma once

#include <arpa/inet.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "balancing/discovery/dns_message.h"
#include "core/base/text.h"

namespace tepal::discovery::testing {

class AnswerWriter {
 public:
  // Answers `question`, a whole message, without EDNS.
  AnswerWriter(std::span<const std::byte> question, int code) {
    size_t end = 12;
    while (question[end] != std::byte{0}) end += 1 + static_cast<size_t>(question[end]);
    bytes_.assign(question.begin(), question.begin() + static_cast<ptrdiff_t>(end + 5));
    bytes_[2] = std::byte{0x81};
    bytes_[3] = static_cast<std::byte>(0x80 | code);
    bytes_[11] = std::byte{0};
    end_of_question_ = bytes_.size();
  }
  // Says so, and leaves the records out.
  void Truncate() {
    bytes_.resize(end_of_question_);
    bytes_[2] |= std::byte{0x02};
    bytes_[6] = bytes_[7] = std::byte{0};
  }
  void Address(std::string_view name, std::string_view address, uint32_t ttl_s) {
    const bool ip6 = address.find(':') != std::string_view::npos;
    std::byte data[16];
    inet_pton(ip6 ? AF_INET6 : AF_INET, std::string(address).c_str(), data);
    Begin(name, ip6 ? 28 : 1, ttl_s, ip6 ? 16 : 4);
    bytes_.insert(bytes_.end(), data, data + (ip6 ? 16 : 4));
  }
  void Cname(std::string_view name, std::string_view target, uint32_t ttl_s) {
    Begin(name, 5, ttl_s, target.size() + 2);
    Name(target);
  }
  void Srv(std::string_view name, uint16_t priority, uint16_t weight, uint16_t port,
           std::string_view target, uint32_t ttl_s) {
    Begin(name, 33, ttl_s, target.size() + 8);
    for (const uint16_t value : {priority, weight, port}) Put16(value);
    Name(target);
  }
  // Of a kind that nobody asked for.
  void Text(std::string_view name) {
    Begin(name, 16, 5, 2);
    Put16(0x0141);
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  void Begin(std::string_view name, uint16_t type, uint32_t ttl_s, size_t size) {
    const auto count = static_cast<uint16_t>(static_cast<unsigned>(bytes_[6]) << 8 |
                                             static_cast<unsigned>(bytes_[7]));
    bytes_[6] = static_cast<std::byte>((count + 1) >> 8);
    bytes_[7] = static_cast<std::byte>((count + 1) & 0xff);
    if (name.empty()) {
      Put16(0xc00c);  // A pointer to the question's name.
    } else {
      Name(name);
    }
    Put16(type);
    Put16(1);
    Put16(static_cast<uint16_t>(ttl_s >> 16));
    Put16(static_cast<uint16_t>(ttl_s & 0xffff));
    Put16(static_cast<uint16_t>(size));
  }
  void Name(std::string_view name) {
    for (const std::string_view label : Split(name, '.')) {
      bytes_.push_back(static_cast<std::byte>(label.size()));
      for (const char c : label) bytes_.push_back(static_cast<std::byte>(c));
    }
    bytes_.push_back(std::byte{0});
  }
  void Put16(uint16_t value) {
    bytes_.push_back(static_cast<std::byte>(value >> 8));
    bytes_.push_back(static_cast<std::byte>(value & 0xff));
  }

  std::vector<std::byte> bytes_;
  size_t end_of_question_;
};

}  // namespace tepal::discovery::testing
