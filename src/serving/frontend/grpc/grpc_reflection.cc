#include "serving/frontend/grpc/grpc_reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/proto/descriptors.h"
#include "network/http/grpc.h"
#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/kserve/proto_reader.h"

namespace tepal {
namespace {

using google::protobuf::FileDescriptor;
using kserve::ProtoReader;
using kserve::ProtoWriter;

// Field numbers of ServerReflectionRequest and ServerReflectionResponse.
enum : uint32_t {
  kHost = 1,
  kFileByFilename = 3,
  kFileContainingSymbol,
  kFileContainingExtension,
  kAllExtensionNumbersOfType,
  kListServices
};
enum : uint32_t {
  kValidHost = 1,
  kOriginalRequest,
  kFileDescriptorResponse = 4,
  kListServicesResponse = 6,
  kErrorResponse
};

// `file` after all that it imports, each once.
void AddWithImports(const FileDescriptor* file, std::vector<const FileDescriptor*>& files) {
  if (std::find(files.begin(), files.end(), file) != files.end()) return;
  for (int i = 0; i < file->dependency_count(); ++i) AddWithImports(file->dependency(i), files);
  files.push_back(file);
}

void WriteFiles(ProtoWriter& out, const FileDescriptor* file) {
  std::vector<const FileDescriptor*> files;
  AddWithImports(file, files);
  out.Message(kFileDescriptorResponse, [&files](ProtoWriter& response) {
    // The one that was asked for comes first.
    for (auto each = files.rbegin(); each != files.rend(); ++each) {
      google::protobuf::FileDescriptorProto message;
      (*each)->CopyTo(&message);
      response.Bytes(1, message.SerializeAsString());
    }
  });
}

void WriteServices(ProtoWriter& out) {
  out.Message(kListServicesResponse, [](ProtoWriter& response) {
    for (const std::string_view name : kGrpcServices) {
      response.Message(1, [name](ProtoWriter& service) { service.Text(1, name); });
    }
  });
}

void WriteError(ProtoWriter& out, StatusCode code, std::string_view text) {
  out.Message(kErrorResponse, [&](ProtoWriter& response) {
    response.Int(1, static_cast<int64_t>(code));
    response.Text(2, text);
  });
}

struct Question {
  std::string_view host;
  uint32_t field = 0;  // Which of the questions.
  std::string_view value;
};

Result<Question> ReadQuestion(std::string_view bytes) {
  Question question;
  ProtoReader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == kHost) {
      reader.Bytes(question.host);
    } else if (reader.field() >= kFileByFilename && reader.field() <= kListServices) {
      question.field = reader.field();
      reader.Bytes(question.value);
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  return question;
}

class ReflectionExchange final : public http::RequestReceiver {
 public:
  ReflectionExchange(GrpcReflection& reflection, const http::RequestHead& head,
                     http::ResponseSender& sender)
      : reflection_(reflection),
        sender_(sender),
        stream_(head, sender, GrpcReflection::kQuestionBytesMax,
                {.on_message = [this](const Buffer& message) { OnQuestion(message); },
                 .on_end = [this] { End(Status()); },
                 .on_reset = [this](const Status&) { over_ = true; },
                 .on_send_room = [this] { stream_.Resume(); },
                 .on_drain = [this] { End(ServerDrains()); }}) {}

  std::span<std::byte> BodyRoom(size_t expected) override { return stream_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { stream_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { stream_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override { stream_.OnReset(why); }
  void OnSendRoom() override { stream_.OnSendRoom(); }
  void OnDrain(size_t bytes_waiting) override { stream_.OnDrain(bytes_waiting); }

 private:
  void OnQuestion(const Buffer& message) {
    if (over_) return;
    Result<Buffer> answer = reflection_.Answer(message.text());
    if (!answer.ok()) return End(answer.status());
    if (!std::exchange(started_, true)) http::GrpcStart(sender_);
    http::GrpcWrite(sender_, {std::move(answer).value()});
    if (sender_.unsent_bytes() >= GrpcReflection::kUnsentBytesMax) stream_.Pause();
  }
  void End(const Status& status) {
    if (std::exchange(over_, true)) return;
    if (!std::exchange(started_, true)) http::GrpcStart(sender_);
    http::GrpcFinish(sender_, status);
  }

  GrpcReflection& reflection_;
  http::ResponseSender& sender_;
  bool started_ = false;
  bool over_ = false;
  http::GrpcStreamRequest stream_;
};

}  // namespace

bool IsGrpcService(std::string_view name) {
  return std::find(std::begin(kGrpcServices), std::end(kGrpcServices), name) !=
         std::end(kGrpcServices);
}

class GrpcReflection::Descriptors {
 public:
  Descriptors() : pool_(&database_) {
    google::protobuf::FileDescriptorSet set;
    const std::string_view bytes = ProtoDescriptors();
    TEPAL_CHECK(set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    for (const auto& file : set.file()) TEPAL_CHECK(database_.Add(file));
  }

  const FileDescriptor* ByName(std::string_view name) {
    return pool_.FindFileByName(std::string(name));
  }
  const FileDescriptor* BySymbol(std::string_view name) {
    return pool_.FindFileContainingSymbol(std::string(name));
  }

 private:
  google::protobuf::SimpleDescriptorDatabase database_;
  google::protobuf::DescriptorPool pool_;
};

GrpcReflection::GrpcReflection() = default;
GrpcReflection::~GrpcReflection() = default;

std::unique_ptr<http::RequestReceiver> GrpcReflection::Serve(const http::RequestHead& head,
                                                             http::ResponseSender& sender) {
  return std::make_unique<ReflectionExchange>(*this, head, sender);
}

Result<Buffer> GrpcReflection::Answer(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Question question, ReadQuestion(bytes));
  if (descriptors_ == nullptr) descriptors_ = std::make_unique<Descriptors>();
  return AnswerMessage([&](ProtoWriter& out) {
    out.Text(kValidHost, question.host);
    out.Bytes(kOriginalRequest, bytes);
    switch (question.field) {
      case kListServices:
        return WriteServices(out);
      case kFileByFilename:
      case kFileContainingSymbol: {
        const FileDescriptor* file = question.field == kFileByFilename
                                         ? descriptors_->ByName(question.value)
                                         : descriptors_->BySymbol(question.value);
        if (file != nullptr) return WriteFiles(out, file);
        return WriteError(out, StatusCode::kNotFound, Concat("not found: ", question.value));
      }
      case kAllExtensionNumbersOfType:
      case kFileContainingExtension:
        return WriteError(out, StatusCode::kNotFound, "no message here has extensions");
      default:
        return WriteError(out, StatusCode::kInvalidArgument, "the request asks for nothing");
    }
  });
}

}  // namespace tepal
