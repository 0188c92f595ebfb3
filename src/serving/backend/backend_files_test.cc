#include "serving/backend/backend_files.h"

#include <gmock/gmock.h>

namespace tepal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

BackendFileQuery Query(const std::string& backend) {
  return {backend, "", "", {"/models/m/1", "/models/m"}, {"/backends"}};
}

TEST(BackendFiles, TheModelsOwnComesFirst) {
  EXPECT_THAT(*BackendFiles(Query("sum")),
              ElementsAre("/models/m/1/libtriton_sum.so", "/models/m/libtriton_sum.so",
                          "/backends/sum/libtriton_sum.so", "/backends/libtriton_sum.so"));
}

TEST(BackendFiles, ARuntimeNamesTheFile) {
  BackendFileQuery query = Query("sum");
  query.runtime = "libsum_cuda.so";
  EXPECT_THAT(*BackendFiles(query),
              ElementsAre("/models/m/1/libsum_cuda.so", "/models/m/libsum_cuda.so",
                          "/backends/sum/libsum_cuda.so", "/backends/libsum_cuda.so"));
}

TEST(BackendFiles, AVersionHasAFolder) {
  BackendFileQuery query = Query("tensorflow");
  query.version = "2";
  query.model_directories.clear();
  EXPECT_THAT(*BackendFiles(query), ElementsAre("/backends/tensorflow/2/libtriton_tensorflow.so",
                                                "/backends/tensorflow2/libtriton_tensorflow2.so"));
}

TEST(BackendFiles, NoNameLeavesItsFolder) {
  EXPECT_EQ(BackendFiles(Query("../x")).status().message(), "'../x' is not a name of a backend");
  EXPECT_EQ(BackendFiles(Query("..")).status().message(), "'..' is not a name of a backend");
  BackendFileQuery query = Query("sum");
  query.runtime = "/tmp/x.so";
  EXPECT_EQ(BackendFiles(query).status().message(),
            "runtime '/tmp/x.so' of backend 'sum' must be the name of a file, without a folder");
  query.runtime.clear();
  query.version = "../other";
  EXPECT_EQ(BackendFiles(query).status().message(),
            "setting 'version' of backend 'sum' must be the name of a folder, got '../other'");
}

TEST(BackendFiles, ABackendInPythonIsRefusedByName) {
  BackendFileQuery query = Query("sum");
  query.runtime = "model.py";
  const Status status = BackendFiles(query).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("backends written in Python are not supported"));
}

}  // namespace
}  // namespace tepal
