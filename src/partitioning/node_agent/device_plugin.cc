#include "partitioning/node_agent/device_plugin.h"

#include <algorithm>
#include <set>

#include "core/base/text.h"
#include "core/proto/kubelet_device_plugin.pb.h"
#include "network/http/body_collector.h"
#include "network/http/grpc_server.h"
#include "network/http/grpc_text.h"
#include "network/net/http_server.h"
#include "partitioning/node_agent/unary_call.h"

namespace tepal::node_agent {
namespace {

constexpr std::string_view kService = "/v1beta1.DevicePlugin/";
constexpr size_t kRequestBytesMax = 1 << 20;

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += Concat(text.empty() ? "" : ",", id);
  return text;
}

v1beta1::ListAndWatchResponse ListOf(const std::vector<Slot>& slots) {
  v1beta1::ListAndWatchResponse list;
  for (const Slot& slot : slots) {
    v1beta1::Device& device = *list.add_devices();
    device.set_id(slot.uuid);
    device.set_health(slot.healthy ? "Healthy" : "Unhealthy");
  }
  return list;
}

bool Same(const std::vector<Slot>& a, const std::vector<Slot>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Slot& one, const Slot& two) {
    return one.uuid == two.uuid && one.healthy == two.healthy;
  });
}

class Watch;

}  // namespace

struct DevicePlugin::State {
  State(env::EventLoop& on, Options with, std::vector<Slot> first)
      : loop(on), options(std::move(with)), slots(std::move(first)) {}

  env::EventLoop& loop;
  const Options options;
  std::vector<Slot> slots;
  std::set<Watch*> watches;
  std::unique_ptr<net::HttpServer> server;
};

namespace {

// The kubelet's stream.
class Watch final : public http::RequestReceiver {
 public:
  Watch(DevicePlugin::State& state, const http::RequestHead& head, http::ResponseSender& sender)
      : state_(state),
        sender_(sender),
        request_(head, sender, kRequestBytesMax,
                 {[](Buffer) {}, [] {}, [this](const Status&) { Forget(); }, nullptr,
                  [this] { End(); }}) {
    state_.watches.insert(this);
    http::GrpcStart(sender_);
    Send();
  }
  ~Watch() override { Forget(); }

  void Send() {
    if (!over_) http::GrpcWrite(sender_, Serialize(ListOf(state_.slots)));
  }

  std::span<std::byte> BodyRoom(size_t expected) override { return request_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { request_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { request_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override { request_.OnReset(why); }
  void OnSendRoom() override { request_.OnSendRoom(); }
  void OnDrain(size_t bytes) override { request_.OnDrain(bytes); }

 private:
  void Forget() {
    over_ = true;
    state_.watches.erase(this);
  }
  void End() {
    if (over_) return;
    Forget();
    http::GrpcFinish(sender_, Unavailable("the device plugin stops"));
  }

  DevicePlugin::State& state_;
  http::ResponseSender& sender_;
  bool over_ = false;
  http::GrpcStreamRequest request_;
};

class Handler final : public http::RequestHandler {
 public:
  explicit Handler(DevicePlugin::State& state) : state_(state) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    std::string_view method = head.path();
    if (http::IsGrpcRequest(head) && method.starts_with(kService)) {
      method.remove_prefix(kService.size());
      if (method == "ListAndWatch") return std::make_unique<Watch>(state_, head, sender);
      if (method == "GetDevicePluginOptions") {
        return Unary<v1beta1::Empty>(head, sender, [](const auto&) {
          v1beta1::DevicePluginOptions options;
          options.set_get_preferred_allocation_available(true);
          return Result<v1beta1::DevicePluginOptions>(options);
        });
      }
      if (method == "GetPreferredAllocation") {
        return Unary<v1beta1::PreferredAllocationRequest>(
            head, sender, [this](const auto& request) { return Preferred(request); });
      }
      if (method == "Allocate") {
        return Unary<v1beta1::AllocateRequest>(
            head, sender, [this](const auto& request) { return Allocate(request); });
      }
      if (method == "PreStartContainer") {
        return Unary<v1beta1::PreStartContainerRequest>(head, sender, [](const auto&) {
          return Result<v1beta1::PreStartContainerResponse>(v1beta1::PreStartContainerResponse());
        });
      }
    }
    http::GrpcRespondError(sender, Unimplemented(Concat("no method ", head.path())));
    return std::make_unique<http::DiscardingRequest>();
  }

 private:
  template <typename Request, typename Answer>
  std::unique_ptr<http::RequestReceiver> Unary(const http::RequestHead& head,
                                               http::ResponseSender& sender, Answer answer) {
    return std::make_unique<http::GrpcUnaryRequest>(
        head, sender, kRequestBytesMax,
        [&sender, answer = std::move(answer)](Buffer bytes) mutable {
          Result<Request> request = ParseMessage<Request>(bytes);
          if (!request.ok()) return http::GrpcRespondError(sender, request.status());
          auto response = answer(*request);
          if (!response.ok()) return http::GrpcRespondError(sender, response.status());
          http::GrpcRespond(sender, Serialize(*response));
        });
  }

  Result<v1beta1::PreferredAllocationResponse> Preferred(
      const v1beta1::PreferredAllocationRequest& request) {
    v1beta1::PreferredAllocationResponse response;
    for (const auto& container : request.container_requests()) {
      const std::vector<std::string> available(container.available_deviceids().begin(),
                                               container.available_deviceids().end());
      const std::vector<std::string> must(container.must_include_deviceids().begin(),
                                          container.must_include_deviceids().end());
      auto& answer = *response.add_container_responses();
      for (const std::string& id :
           Prefer(state_.slots, available, must,
                  static_cast<size_t>(std::max(0, container.allocation_size())))) {
        answer.add_deviceids(id);
      }
    }
    return response;
  }

  Result<v1beta1::AllocateResponse> Allocate(const v1beta1::AllocateRequest& request) {
    v1beta1::AllocateResponse response;
    for (const auto& container : request.container_requests()) {
      for (const std::string& id : container.devices_ids()) {
        const bool known = std::any_of(state_.slots.begin(), state_.slots.end(),
                                       [&](const Slot& slot) { return slot.uuid == id; });
        // It has gone since the kubelet chose it: it will choose again.
        if (!known) return NotFound(Concat(state_.options.resource, " has no device ", id));
      }
      auto& answer = *response.add_container_responses();
      if (state_.options.hand_over == HandOver::kCdi) {
        for (const std::string& id : container.devices_ids()) {
          answer.add_cdi_devices()->set_name(Concat("nvidia.com/gpu=", id));
        }
      } else {
        (*answer.mutable_envs())["NVIDIA_VISIBLE_DEVICES"] = Joined(container.devices_ids());
      }
    }
    return response;
  }

  DevicePlugin::State& state_;
};

}  // namespace

Result<std::unique_ptr<DevicePlugin>> DevicePlugin::New(env::EventLoop& loop, Options options,
                                                        std::vector<Slot> slots) {
  auto state = std::make_shared<State>(loop, std::move(options), std::move(slots));
  net::HttpServer::Options server;
  server.limits.idle_max = std::chrono::hours(24 * 365);  // The kubelet calls when it has a pod.
  State* const raw = state.get();
  state->server = std::make_unique<net::HttpServer>(
      std::vector<env::EventLoop*>{&loop}, server,
      [raw](env::EventLoop&) { return std::make_unique<Handler>(*raw); });
  auto listening = state->server->Listen({env::Address::Family::kUnix, raw->options.socket, 0});
  if (!listening.ok()) {
    return std::move(listening.status())
        .WithContext(Concat("device plugin ", raw->options.resource));
  }
  return std::unique_ptr<DevicePlugin>(new DevicePlugin(std::move(state)));
}

DevicePlugin::DevicePlugin(std::shared_ptr<State> state) : state_(std::move(state)) {}
DevicePlugin::~DevicePlugin() { state_->server.reset(); }

void DevicePlugin::SetSlots(std::vector<Slot> slots) {
  const bool same = Same(slots, state_->slots);
  state_->slots = std::move(slots);
  if (same) return;
  for (Watch* watch : state_->watches) watch->Send();
}

bool DevicePlugin::watched() const { return !state_->watches.empty(); }
const std::string& DevicePlugin::resource() const { return state_->options.resource; }

}  // namespace tepal::node_agent
