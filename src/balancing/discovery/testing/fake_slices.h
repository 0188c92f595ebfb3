// An API server that knows EndpointSlices of one namespace and nothing else, for tests.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/stream.h"

namespace tepal::discovery::testing {

// An endpoint's JSON. `conditions` as "ready serving terminating", each t, f or -.
inline std::string SliceEndpoint(const std::string& address, const std::string& conditions = "tt-",
                                 const std::string& pod = "") {
  static constexpr std::string_view kNames[] = {"ready", "serving", "terminating"};
  std::string text;
  for (size_t i = 0; i < 3; ++i) {
    if (conditions[i] == '-') continue;
    text += Concat(text.empty() ? "" : ",", "\"", kNames[i], "\":", conditions[i] == 't');
  }
  return Concat(
      "{\"addresses\":[\"", address, "\"],\"conditions\":{", text, "}",
      pod.empty() ? "" : Concat(",\"targetRef\":{\"kind\":\"Pod\",\"name\":\"", pod, "\"}"), "}");
}

// A slice's JSON without its metadata.
inline std::string Slice(const std::vector<std::string>& endpoints, const std::string& ports,
                         const std::string& type = "IPv4") {
  std::string list;
  for (const std::string& endpoint : endpoints) list += Concat(list.empty() ? "" : ",", endpoint);
  return Concat("\"addressType\":\"", type, "\",\"endpoints\":[", list, "],\"ports\":[", ports,
                "]");
}

class FakeSlices final : public http::RequestHandler {
 public:
  std::vector<std::string> targets;  // Of every request.

  void Set(const std::string& name, const std::string& content) {
    const bool there = slices_.contains(name);
    slices_[name] = content;
    Record(there ? "MODIFIED" : "ADDED", name, content);
  }
  void Remove(const std::string& name) {
    const std::string content = slices_[name];
    slices_.erase(name);
    Record("DELETED", name, content);
  }
  // Watches break, and requests get 503 until it is mended.
  void Break(bool broken) {
    broken_ = broken;
    if (!broken) return;
    for (auto& watch : std::exchange(watches_, {})) {
      if (*watch.alive) watch.sender->Reset(2);
    }
  }

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    targets.push_back(head.target);
    auto alive = std::make_shared<bool>(true);
    const bool watch = head.target.find("watch=true") != std::string::npos;
    if (broken_) {
      Answer(sender, 503, "{\"kind\":\"Status\",\"code\":503,\"reason\":\"Gone\"}");
    } else if (watch &&
               head.target.find(Concat("resourceVersion=", version_)) == std::string::npos) {
      Answer(sender, 410, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
    } else if (watch) {
      sender.Start({});
      watches_.push_back({&sender, alive});
    } else {
      std::string items;
      for (const auto& [name, content] : slices_) {
        items += Concat(items.empty() ? "" : ",", Text(name, content));
      }
      Answer(sender, 200,
             Concat("{\"metadata\":{\"resourceVersion\":\"", version_, "\"},\"items\":[", items,
                    "]}"));
    }
    return std::make_unique<Receiver>(alive);
  }

 private:
  struct Watch {
    http::ResponseSender* sender;
    std::shared_ptr<bool> alive;
  };
  class Receiver final : public http::RequestReceiver {
   public:
    explicit Receiver(std::shared_ptr<bool> alive) : alive_(std::move(alive)) {}
    ~Receiver() override { *alive_ = false; }
    std::span<std::byte> BodyRoom(size_t) override { return waste_; }
    void OnBody(size_t) override {}
    void OnRequestEnd(const http::Headers&) override {}
    void OnReset(const Status&) override { *alive_ = false; }

   private:
    const std::shared_ptr<bool> alive_;
    std::byte waste_[64];
  };

  std::string Text(const std::string& name, const std::string& content) const {
    return Concat("{\"metadata\":{\"name\":\"", name,
                  "\",\"namespace\":\"ns\",\"resourceVersion\":\"", version_, "\"},", content, "}");
  }
  static BufferList Bytes(std::string_view text) {
    BufferList list;
    list.push_back(Buffer::Copy(text));
    return list;
  }
  static void Answer(http::ResponseSender& sender, int status, std::string_view body) {
    http::ResponseHead head;
    head.status = status;
    sender.Respond(std::move(head), Bytes(body));
  }
  void Record(const std::string& type, const std::string& name, const std::string& content) {
    ++version_;
    const std::string line =
        Concat("{\"type\":\"", type, "\",\"object\":", Text(name, content), "}\n");
    for (const Watch& watch : watches_) {
      if (*watch.alive) watch.sender->Write(Bytes(line));
    }
  }

  std::map<std::string, std::string> slices_;
  std::vector<Watch> watches_;
  uint64_t version_ = 100;
  bool broken_ = false;
};

}  // namespace tepal::discovery::testing
