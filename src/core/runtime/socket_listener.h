// A listening socket that hands out streams.

#pragma once

#include <sys/types.h>

#include "core/env/event_loop.h"
#include "core/runtime/poller.h"

namespace tepal::runtime {

class SocketListener final : public env::Listener, private PollEvents {
 public:
  using OnAccept = Function<void(std::unique_ptr<env::Stream>)>;

  SocketListener(env::EventLoop& loop, Poller& poller, UniqueFd socket, OnAccept on_accept);
  ~SocketListener() override;

  env::Address address() const override { return address_; }
  void Pause(bool paused) override;
  void AcceptWaiting() override { AcceptUpTo(kAcceptsAtOnceMax); }

  // The socket file, which was bound by this process, goes with the listener.
  void OwnSocketFile();

 private:
  static constexpr int kAcceptsAtOnceMax = 65536;

  void OnPollReadable() override;
  void AcceptUpTo(int connections);
  // False when the process or the system has no descriptor or memory left.
  bool AcceptOne(bool& more);
  void RestUntilDescriptorsAreFree(int error);

  env::EventLoop& loop_;
  UniqueFd socket_;
  Poller::Watch watch_;
  OnAccept on_accept_;
  env::Address address_;
  bool paused_ = false;
  env::EventLoop::TimerId resume_timer_ = 0;
  bool* destroyed_ = nullptr;  // Set while on_accept_ runs.
  bool owns_file_ = false;
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;
};

}  // namespace tepal::runtime
