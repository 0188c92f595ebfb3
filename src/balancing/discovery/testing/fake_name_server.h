// A name server of the simulated world, over UDP and TCP: right, silent, wrong or closed.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/discovery/testing/dns_answers.h"
#include "sim/world.h"

namespace tepal::discovery::testing {

struct Zone {
  std::map<std::string, std::vector<std::string>> addresses;  // By name.
  struct Target {
    uint16_t priority, weight, port;
    std::string name;
  };
  std::map<std::string, std::vector<Target>> services;
  uint32_t ttl_s = 5;
  enum class Mood { kAnswers, kSilent, kFails, kLies } mood = Mood::kAnswers;

  bool udp_truncates = false;  // Always, and whatever the mood.
  bool knows_edns = true;
  bool tcp_closes = false;
  Duration udp_delay{};  // Of its answers.

  int asked = 0;      // Over both,
  int asked_tcp = 0;  // and over TCP alone.
};

inline std::string Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::vector<std::byte> Bytes(const std::string& text) {
  const auto* const data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

// The question's own name, read back by the reader that is tested.
inline DnsAnswer ReadQuestion(std::vector<std::byte> question) {
  question[2] |= std::byte{0x80};
  return *ReadDnsAnswer(question);
}

inline AnswerWriter WriteAnswer(Zone& zone, const std::vector<std::byte>& question) {
  const DnsAnswer asked = ReadQuestion(question);
  const bool known =
      zone.addresses.count(asked.question) > 0 || zone.services.count(asked.question) > 0;
  AnswerWriter writer(question, zone.mood == Zone::Mood::kFails ? 2 : known ? 0 : 3);
  for (const std::string& address : zone.addresses[asked.question]) {
    const bool ip6 = address.find(':') != std::string::npos;
    if (asked.question_type == (ip6 ? 28 : 1)) writer.Address("", address, zone.ttl_s);
  }
  for (const Zone::Target& target : zone.services[asked.question]) {
    if (asked.question_type != 33) break;
    writer.Srv("", target.priority, target.weight, target.port, target.name, zone.ttl_s);
  }
  return writer;
}

// One connection over TCP.
class NameServerConnection final : public env::StreamEvents {
 public:
  NameServerConnection(env::EventLoop& loop, std::unique_ptr<env::Stream> stream, Zone& zone)
      : stream_(std::move(stream)), zone_(zone) {
    stream_->Attach(loop, *this);
    stream_->Watch(true, false);
  }

 private:
  void OnReadable() override {
    std::byte room[512];
    const env::IoResult result = stream_->Read(room);
    if (result.outcome == env::IoResult::Outcome::kWouldBlock) return;
    if (result.outcome != env::IoResult::Outcome::kDone) return stream_->Watch(false, false);
    in_.insert(in_.end(), room, room + result.bytes);
    if (in_.size() < 2) return;
    const size_t size = static_cast<size_t>(in_[0]) << 8 | static_cast<size_t>(in_[1]);
    if (in_.size() < size + 2 || !out_.empty()) return;
    Answer(std::vector<std::byte>(in_.begin() + 2, in_.end()));
  }
  void OnWritable() override {
    while (sent_ < out_.size()) {
      const env::ConstBytes piece{out_.data() + sent_, out_.size() - sent_};
      const env::IoResult result = stream_->Write({&piece, 1});
      if (result.outcome != env::IoResult::Outcome::kDone) break;
      sent_ += result.bytes;
    }
    stream_->Watch(false, sent_ < out_.size());
  }

  void Answer(const std::vector<std::byte>& question) {
    ++zone_.asked;
    ++zone_.asked_tcp;
    if (zone_.tcp_closes) return stream_->ShutdownWrite();
    if (zone_.mood == Zone::Mood::kSilent) return;
    std::vector<std::byte> bytes = WriteAnswer(zone_, question).bytes();
    if (zone_.mood == Zone::Mood::kLies) bytes[0] ^= std::byte{1};
    out_ = {static_cast<std::byte>(bytes.size() >> 8), static_cast<std::byte>(bytes.size() & 0xff)};
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    OnWritable();
  }

  std::unique_ptr<env::Stream> stream_;
  Zone& zone_;
  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
  size_t sent_ = 0;
};

class FakeNameServer {
 public:
  // Called with each question over UDP before it is answered.
  using OnQuestion =
      Function<void(const env::Address& from, const std::vector<std::byte>& question)>;

  FakeNameServer(sim::World& world, env::EventLoop& loop, env::Address address)
      : world_(world), address_(std::move(address)) {
    world_.ReceiveDatagrams(address_, [this](const env::Address& from, const std::string& text) {
      Answer(from, Bytes(text));
    });
    listener_ = *loop.Listen(address_, {}, [this, &loop](std::unique_ptr<env::Stream> stream) {
      connections_.push_back(std::make_unique<NameServerConnection>(loop, std::move(stream), zone));
    });
  }

  const env::Address& address() const { return address_; }

  Zone zone;
  OnQuestion on_question;

 private:
  void Answer(const env::Address& from, const std::vector<std::byte>& question) {
    ++zone.asked;
    if (on_question) on_question(from, question);
    const bool edns = question[11] != std::byte{0};
    if (edns && !zone.knows_edns) return Send(from, AnswerWriter(question, 1).bytes());
    AnswerWriter writer = WriteAnswer(zone, question);
    if (zone.udp_truncates || writer.bytes().size() > (edns ? 1232u : 512u)) writer.Truncate();
    std::vector<std::byte> bytes = writer.bytes();
    if (!zone.udp_truncates) {
      if (zone.mood == Zone::Mood::kSilent) return;
      if (zone.mood == Zone::Mood::kLies) bytes[0] ^= std::byte{1};
    }
    Send(from, bytes);
  }
  void Send(const env::Address& to, const std::vector<std::byte>& bytes) {
    world_.SendDatagram(address_, to, Text(bytes), zone.udp_delay);
  }

  sim::World& world_;
  const env::Address address_;
  std::unique_ptr<env::Listener> listener_;
  std::vector<std::unique_ptr<NameServerConnection>> connections_;
};

}  // namespace tepal::discovery::testing
