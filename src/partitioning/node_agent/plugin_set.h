// Every resource of a node offered to its kubelet: plugins made as resources appear, registered,
// and registered again when the kubelet has restarted.
//
// A resource whose slots are all gone stays, with none: the kubelet takes back only what it is told
// is gone. Owned by one loop; Tick is called about once a second.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/env/file_system.h"
#include "partitioning/node_agent/device_plugin.h"
#include "partitioning/node_agent/kubelet_watch.h"
#include "partitioning/node_agent/unary_call.h"

namespace tepal::node_agent {

class PluginSet {
 public:
  struct Options {
    std::string folder = "/var/lib/kubelet/device-plugins";
    HandOver hand_over = HandOver::kEnvironment;
  };
  PluginSet(env::EventLoop& loop, env::FileSystem& files, Options options)
      : loop_(loop), files_(files), options_(std::move(options)) {}

  // What there is to offer now. The kubelet is told at once.
  void SetOffer(const Offer& offer);

  // Looks for the kubelet; (re)registers when there is need.
  void Tick();

  // Whether every plugin has the kubelet's ear.
  bool serving() const;

 private:
  std::string SocketName(const std::string& resource) const;
  void RegisterAll();
  void Start(const std::string& resource);
  void Failed(const Status& why);

  env::EventLoop& loop_;
  env::FileSystem& files_;
  const Options options_;
  KubeletWatch watch_;
  std::map<std::string, std::vector<Slot>> slots_;  // By resource; also empty ones.
  std::map<std::string, std::unique_ptr<DevicePlugin>> plugins_;
  std::map<std::string, std::unique_ptr<UnaryCall>> registrations_;
  bool kubelet_there_ = false;
};

}  // namespace tepal::node_agent
