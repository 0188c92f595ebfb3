// For tests: passes bytes between whoever connects and a server, and breaks the first connection
// after exactly so many bytes of one direction, or lets nothing more of it through. Lives on one
// loop.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/env/event_loop.h"

namespace tepal::lb {

class CuttingRelay {
 public:
  struct Cut {
    bool answers = true;  // Of the server's bytes; the client's otherwise.
    size_t after = SIZE_MAX;
    bool orderly = false;  // An end in both directions, and not a reset.
    bool stalls = false;   // Nothing more comes, and nobody is told.
  };

  CuttingRelay(env::EventLoop& loop, const env::Address& address, env::Address server, Cut cut)
      : loop_(loop), server_(std::move(server)), cut_(cut) {
    listener_ = loop_
                    .Listen(address, {},
                            [this](std::unique_ptr<env::Stream> client) {
                              pairs_.push_back(std::make_unique<Pair>(*this, std::move(client)));
                            })
                    .value();
  }

  bool has_cut() const { return has_cut_; }
  size_t passed(bool answers) const { return passed_[answers ? 1 : 0]; }

 private:
  struct Pair;
  struct End final : env::StreamEvents {
    explicit End(Pair& p) : pair(p) {}
    void OnReadable() override { pair.Read(*this); }
    void OnWritable() override { pair.Write(*this); }
    Pair& pair;
    std::unique_ptr<env::Stream> stream;
    std::string out;    // To be written to it.
    bool ends = false;  // After that.
  };

  struct Pair {
    Pair(CuttingRelay& r, std::unique_ptr<env::Stream> from)
        : relay(r), client(*this), server(*this) {
      client.stream = std::move(from);
      client.stream->Attach(relay.loop_, client);
      connecting = relay.loop_.Connect(relay.server_, [this](auto stream) {
        if (!stream.ok()) return Break(false);
        server.stream = std::move(*stream);
        server.stream->Attach(relay.loop_, server);
        client.stream->Watch(true, false);
        server.stream->Watch(true, false);
      });
    }
    void Read(End& from) {
      if (broken) return;
      std::byte bytes[4096];
      const env::IoResult read = from.stream->Read(bytes);
      End& to = &from == &client ? server : client;
      if (read.outcome == env::IoResult::Outcome::kDone) return Pass(from, to, bytes, read.bytes);
      if (read.outcome == env::IoResult::Outcome::kFailed) return Break(false);
      if (read.outcome != env::IoResult::Outcome::kEnd) return;
      from.stream->Watch(false, !from.out.empty());
      to.ends = true;
      Write(to);
    }
    void Pass(End& from, End& to, const std::byte* bytes, size_t size) {
      if (stalled && relay.cut_.answers == (&from == &server)) return;
      size_t& passed = relay.passed_[&from == &server ? 1 : 0];
      const bool counts = relay.cut_.answers == (&from == &server) && !relay.has_cut_;
      if (counts && passed + size >= relay.cut_.after) {
        size = relay.cut_.after - passed;
        relay.has_cut_ = true;
        (relay.cut_.stalls ? stalled : cutting) = true;
      }
      passed += size;
      to.out.append(reinterpret_cast<const char*>(bytes), size);
      Write(to);
    }
    void Write(End& to) {
      while (!broken && !to.out.empty()) {
        const env::ConstBytes piece{reinterpret_cast<const std::byte*>(to.out.data()),
                                    to.out.size()};
        const env::IoResult wrote = to.stream->Write({&piece, 1});
        if (wrote.outcome == env::IoResult::Outcome::kFailed) return Break(false);
        if (wrote.outcome != env::IoResult::Outcome::kDone) {
          return to.stream->Watch(!cutting, true);
        }
        to.out.erase(0, wrote.bytes);
      }
      if (broken) return;
      if (cutting) return Break(relay.cut_.orderly);
      to.stream->Watch(true, false);
      if (to.ends) to.stream->ShutdownWrite();
    }
    void Break(bool orderly) {
      if (std::exchange(broken, true)) return;
      for (End* end : {&client, &server}) {
        if (end->stream == nullptr) continue;
        end->stream->Watch(false, false);
        if (!orderly) end->stream->AbortOnClose();
      }
      relay.loop_.Defer([this] {
        client.stream.reset();
        server.stream.reset();
      });
    }

    CuttingRelay& relay;
    End client;
    End server;
    std::unique_ptr<env::EventLoop::Connecting> connecting;
    bool cutting = false;
    bool stalled = false;
    bool broken = false;
  };

  env::EventLoop& loop_;
  const env::Address server_;
  const Cut cut_;
  bool has_cut_ = false;
  size_t passed_[2] = {};
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::unique_ptr<env::Listener> listener_;
};

}  // namespace tepal::lb
