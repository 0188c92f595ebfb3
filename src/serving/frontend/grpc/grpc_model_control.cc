#include "serving/frontend/grpc/grpc_model_control.h"

#include <string>
#include <utility>

#include "core/base/text.h"
#include "network/http/grpc.h"
#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/kserve/proto_reader.h"

namespace tepal {
namespace {

using kserve::ProtoReader;

struct Control {
  std::string model;
  ServerCore::LoadOverride overrides;
  bool unload_dependents = false;
};

// ModelRepositoryParameter.
struct ParameterText {
  std::string_view key, text, bytes;
  bool is_text = false, is_bytes = false, is_bool = false;
  uint64_t flag = 0;
};

bool ReadValue(std::string_view bytes, ParameterText& parameter) {
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) {
      parameter.is_bool = reader.Varint(parameter.flag);
    } else if (reader.field() == 3) {
      parameter.is_text = reader.Bytes(parameter.text);
    } else if (reader.field() == 4) {
      parameter.is_bytes = reader.Bytes(parameter.bytes);
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

bool ReadParameter(std::string_view bytes, ParameterText& parameter) {
  std::string_view value;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(parameter.key);
    } else if (reader.field() == 2) {
      if (!reader.Bytes(value) || !ReadValue(value, parameter)) return false;
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

Status Apply(const ParameterText& parameter, bool load, Control& control) {
  const auto wrong_type = [&parameter](std::string_view expected) {
    return InvalidArgument(Concat("invalid value type for load parameter '", parameter.key,
                                  "', expected ", expected, "."));
  };
  if (load && parameter.key == "config") {
    if (!parameter.is_text) return wrong_type("string_param");
    control.overrides.config_json = parameter.text;
  } else if (load && parameter.key.starts_with("file:")) {
    if (!parameter.is_bytes) return wrong_type("bytes_param");
    constexpr size_t kPrefix = 5;  // "file:"
    control.overrides.files[std::string(parameter.key.substr(kPrefix))] = parameter.bytes;
  } else if (!load && parameter.key == "unload_dependents") {
    if (!parameter.is_bool) {
      return InvalidArgument(
          "invalid value type for 'unload_dependents' parameter, expected bool_param.");
    }
    control.unload_dependents = parameter.flag != 0;
  } else if (load) {
    return InvalidArgument(Concat("unrecognized load parameter '", parameter.key, "'."));
  }
  return {};
}

Status ReadControl(std::string_view message, bool load, Control& control) {
  std::string_view bytes, repository;
  ProtoReader reader(message);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(repository);
    } else if (reader.field() == 2) {
      if (reader.Bytes(bytes)) control.model = bytes;
    } else if (reader.field() == 3 && reader.Bytes(bytes)) {
      ParameterText parameter;
      if (!ReadParameter(bytes, parameter)) return UnparsableRequest();
      RETURN_IF_ERROR(Apply(parameter, load, control));
    } else if (reader.field() != 3) {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  return repository.empty() ? Status() : NoRepositoryName();
}

// Whether the client is still there for what comes later is known to the loop's thread only.
class ControlExchange final : public http::RequestReceiver {
 public:
  ControlExchange(const GrpcControlDoor& door, bool load, const http::RequestHead& head,
                  http::ResponseSender& sender)
      : present_(std::make_shared<bool>(true)),
        unary_(head, sender, door.message_bytes_max,
               [door, load, &sender, present = present_](Buffer message) {
                 Begin(door, load, sender, present, message);
               }) {}
  ~ControlExchange() override { *present_ = false; }

  std::span<std::byte> BodyRoom(size_t expected) override { return unary_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { unary_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { unary_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override {
    *present_ = false;
    unary_.OnReset(why);
  }

 private:
  static void Begin(const GrpcControlDoor& door, bool load, http::ResponseSender& sender,
                    const std::shared_ptr<bool>& present, const Buffer& message) {
    auto control = std::make_shared<Control>();
    if (const Status status = ReadControl(message.text(), load, *control); !status.ok()) {
      http::GrpcRespondError(sender, status);
      return;
    }
    door.blocking.Execute([&core = door.core, &loop = door.loop, load, control, &sender, present] {
      Status status = load ? core.Load(control->model, control->overrides)
                           : core.Unload(control->model, control->unload_dependents);
      loop.Post([status = std::move(status), &sender, present] {
        if (!*present) return;
        if (status.ok()) {
          http::GrpcRespond(sender, {});
        } else {
          http::GrpcRespondError(sender, status);
        }
      });
    });
  }

  const std::shared_ptr<bool> present_;
  http::GrpcUnaryRequest unary_;
};

}  // namespace

std::unique_ptr<http::RequestReceiver> GrpcControlModel(const GrpcControlDoor& door, bool load,
                                                        const http::RequestHead& head,
                                                        http::ResponseSender& sender) {
  return std::make_unique<ControlExchange>(door, load, head, sender);
}

}  // namespace tepal
