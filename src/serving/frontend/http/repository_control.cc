#include "serving/frontend/http/repository_control.h"

#include <optional>
#include <utility>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/status_map.h"
#include "serving/frontend/http/body_json.h"

namespace tepal {
namespace {

constexpr std::string_view kFilePrefix = "file:";

struct Control {
  bool load = false;
  std::string model;
  ServerCore::LoadOverride overrides;
  bool unload_dependents = false;
};

Status ReadParameter(const std::string& name, const json::Value& value, Control& control) {
  if (control.load && name == "config") {
    if (value.AsString() == nullptr) {
      return InvalidArgument(
          "Unable to parse 'config': attempt to access JSON non-string as string");
    }
    control.overrides.config_json = *value.AsString();
    return {};
  }
  if (control.load && name.starts_with(kFilePrefix)) {
    std::optional<std::string> bytes;
    if (value.AsString() != nullptr) bytes = DecodeBase64(*value.AsString());
    if (!bytes) return InvalidArgument(Concat("'", name, "': expected the file in base64"));
    control.overrides.files[name.substr(kFilePrefix.size())] = std::move(*bytes);
    return {};
  }
  if (!control.load && name == "unload_dependents") {
    if (value.AsBool() == nullptr) {
      return InvalidArgument(
          "Unable to parse 'unload_dependents': attempt to access JSON non-boolean as boolean");
    }
    control.unload_dependents = *value.AsBool();
  }
  return {};
}

Status ReadBody(std::string_view body, Control& control) {
  if (body.empty()) return {};
  ASSIGN_OR_RETURN(const json::Value parsed, ParseBodyJson(body));
  const json::Value* parameters = parsed.Find("parameters");
  if (parameters == nullptr) return {};
  if (parameters->AsObject() == nullptr) {
    return InvalidArgument("Unable to parse 'parameters': attempt to get members for non-object");
  }
  for (const auto& [name, value] : *parameters->AsObject()) {
    RETURN_IF_ERROR(ReadParameter(name, value, control));
  }
  return {};
}

Status Carry(ServerCore& core, const Control& control) {
  return control.load ? core.Load(control.model, control.overrides)
                      : core.Unload(control.model, control.unload_dependents);
}

void Answer(http::ResponseSender& sender, const Status& status) {
  if (!status.ok()) {
    http::RespondError(sender, status);
    return;
  }
  http::ResponseHead head;
  head.headers.Add("content-type", "application/json");
  sender.Respond(std::move(head), {});
}

// The collecting receiver, and whether its client is still there for what comes later.
class ControlExchange final : public http::RequestReceiver {
 public:
  ControlExchange(const ModelControlDoor& door, Control control, const http::RequestHead& head,
                  http::ResponseSender& sender)
      : present_(std::make_shared<bool>(true)),
        body_(head, door.body_bytes_max, sender,
              [door, control = std::make_shared<Control>(std::move(control)), &sender,
               present = present_](Buffer body) {
                if (const Status status = ReadBody(body.text(), *control); !status.ok()) {
                  http::RespondError(sender, status);
                  return;
                }
                door.blocking.Execute([door, control, &sender, present] {
                  Status status = Carry(door.core, *control);
                  door.loop.Post([status = std::move(status), &sender, present] {
                    if (*present) Answer(sender, status);
                  });
                });
              }) {}
  ~ControlExchange() override { *present_ = false; }

  std::span<std::byte> BodyRoom(size_t expected) override { return body_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { body_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { body_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override {
    *present_ = false;
    body_.OnReset(why);
  }

 private:
  const std::shared_ptr<bool> present_;  // Loop thread only.
  http::CollectingRequest body_;
};

}  // namespace

std::unique_ptr<http::RequestReceiver> ControlModel(const ModelControlDoor& door, bool load,
                                                    std::string model,
                                                    const http::RequestHead& head,
                                                    http::ResponseSender& sender) {
  Control control;
  control.load = load;
  control.model = std::move(model);
  return std::make_unique<ControlExchange>(door, std::move(control), head, sender);
}

}  // namespace tepal
