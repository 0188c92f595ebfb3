"""The cluster itself: pods run, find each other, and are seen."""
import unittest

import harness


class ClusterTest(harness.KubernetesTest):
    def test_pods_serve_behind_a_service(self):
        cluster = self.cluster
        cluster.kubectl("create", "deployment", "web", "--image=local.test/busybox:1", "--replicas=4", "--", "sh", "-c",
                        "hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp")
        cluster.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
        cluster.wait(lambda: cluster.get("deployment", "web")["status"].get("readyReplicas") == 4, "four pods are ready")
        address = cluster.get("service", "web")["spec"]["clusterIP"]
        pods = cluster.items("pods", "-l", "app=web")
        names = {pod["metadata"]["name"] for pod in pods}

        def ask(pod):
            return cluster.kubectl("exec", pod, "--", "wget", "-qO-", f"http://{address}/index.html").strip()

        answered = set()
        cluster.wait(lambda: answered.add(ask(sorted(names)[0])) or len(answered) > 1, "the Service leads to several pods")
        self.assertLessEqual(answered, names)


if __name__ == "__main__":
    unittest.main()
