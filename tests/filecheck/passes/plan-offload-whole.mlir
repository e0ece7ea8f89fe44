// RUN: cimc opt %s -p 'expand-composites,plan-offload{whole=1 why="it is small"}' | filecheck %s
// Of two composites the second stays whole, marked with the reason.

// CHECK-NOT: onnx.composite
// CHECK: onnx.node "Sigmoid"({{.*}}) marks {composite = 0 : i64, of = "com.microsoft.QuickGelu"
// CHECK: onnx.node "QuickGelu" in "com.microsoft"({{.*}}) marks {whole = "it is small"}
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %h = onnx.node "QuickGelu" in "com.microsoft" (%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "QuickGelu" in "com.microsoft" (%h) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
