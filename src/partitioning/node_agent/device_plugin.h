// One resource offered to the kubelet: a server of the device plugin API on a Unix socket.
//
// The kubelet keeps one ListAndWatch stream open; each Offer that differs goes down it at once, so
// a repartition needs no restart. Allocation gives a container its slots' UUIDs by environment or
// as CDI names; nothing is taken note of here: who holds what, the kubelet knows (held_devices.h).
//
// Owned by one loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/env/event_loop.h"
#include "partitioning/node_agent/slots.h"

namespace tepal::node_agent {

// How a container learns of its slots.
enum class HandOver {
  kEnvironment,  // NVIDIA_VISIBLE_DEVICES, for NVIDIA's container runtime.
  kCdi,          // CDI names "nvidia.com/gpu=UUID", as nvidia-ctk generates them by UUID.
};

class DevicePlugin {
 public:
  struct Options {
    std::string socket;  // The whole path.
    std::string resource;
    HandOver hand_over = HandOver::kEnvironment;
  };
  // Listens; the error names the socket.
  static Result<std::unique_ptr<DevicePlugin>> New(env::EventLoop& loop, Options options,
                                                   std::vector<Slot> slots);
  ~DevicePlugin();

  // What is offered from now on; may be empty.
  void SetSlots(std::vector<Slot> slots);

  // Whether the kubelet has a stream open.
  bool watched() const;
  const std::string& resource() const;

  struct State;  // Inside.

 private:
  explicit DevicePlugin(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace tepal::node_agent
