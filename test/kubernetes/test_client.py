"""The client of src/network/kube against the real API server."""
import subprocess
import unittest

import harness


class ClientTest(harness.KubernetesTest):
    def probe(self, *arguments, kubeconfig=None):
        return harness.Lines([harness.BUILD / "bin/kubernetes_api_probe", kubeconfig or self.cluster.admin, *arguments])

    def test_every_kind_of_request(self):
        self.cluster.kubectl("create", "deployment", "scaled", "--image=local.test/busybox:1", "--replicas=0")
        self.addCleanup(self.cluster.kubectl, "delete", "deployment", "scaled", "--ignore-not-found")
        done = subprocess.run([harness.BUILD / "bin/kubernetes_api_probe", self.cluster.admin, "cases"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreaterEqual(done.stdout.count("ok "), 15)

    def test_a_user_without_the_right_is_told_so(self):
        nobody = self.cluster.user("nobody", "/CN=nobody")
        with self.probe("follow", "default", kubeconfig=nobody) as probe:
            probe.expect("trouble .*Forbidden .HTTP 403.*cannot list resource .*configmaps")

    def test_a_copy_follows_through_a_restart_of_the_api_server(self):
        cluster = self.cluster
        cluster.kubectl("create", "namespace", "followed")
        cluster.kubectl("create", "configmap", "a", "-n", "followed", "--from-literal=n=1")
        with self.probe("follow", "followed") as probe:
            probe.expect("set a 1")
            probe.expect("synced")
            cluster.kubectl("create", "configmap", "b", "-n", "followed", "--from-literal=n=2")
            probe.expect("set b 2")
            cluster.restart_apiserver()
            probe.expect("trouble")
            cluster.kubectl("delete", "configmap", "a", "-n", "followed")
            cluster.kubectl("create", "configmap", "c", "-n", "followed", "--from-literal=n=3")
            probe.expect("deleted a", 40)
            probe.expect("set c 3")
            self.assertNotIn("set b 2", probe.lines[probe.lines.index("set b 2") + 1:], "b had not changed")

    def test_one_leads_and_hands_over(self):
        with self.probe("lead", "one") as one:
            one.expect("leading")
            with self.probe("lead", "two") as two:
                one.terminate()
                two.expect("leading", 5)
                with self.probe("lead", "three") as three:
                    two.kill()  # Without a word: the lease has to run out.
                    three.expect("leading", 10)
        lease = self.cluster.get("lease", "probe")
        self.assertEqual(lease["spec"]["leaseTransitions"], 2)


if __name__ == "__main__":
    unittest.main()
