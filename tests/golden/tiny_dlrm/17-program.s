segment 0 tile 28
  bag dst=[28] port=p0 matrix=m4 mode=none scale=0.013867574743926525 idbits=6
  bag dst=[56] port=p1 matrix=m5 mode=sum scale=0.016840513795614243 idbits=4
  recv tile=37 tag=1 dst=[0] bytes=28 bits=8 sign=unsigned
  dots dst=[88] src=[0] pairs=c[152] n=3 features=3 dim=7
  send tile=37 tag=2 src=[88] bytes=12 bits=8
  recv tile=37 tag=3 dst=[0] bytes=10 bits=8 sign=signed
  mvm dst=[16] src=[0] matrix=m2 first=0 count=1
  dequant dst=[64] src=[16] factors=c[176] bias=c[224] n=12
  unary dst=[0] src=[64] n=12 fn=relu alpha=0.0 beta=0.0
  quant dst=[48] src=[0] n=12 scale=0.02381134033203125 bits=8 sign=unsigned
  send tile=44 tag=4 src=[48] bytes=12 bits=8
segment 0 tile 35
  loadq dst=[0] port=p2 n=5 scale=0.018890380859375 bits=8 sign=signed
  mvm dst=[8] src=[0] matrix=m0 first=0 count=1
  dequant dst=[56] src=[8] factors=c[0] bias=c[48] n=12
  unary dst=[0] src=[56] n=12 fn=relu alpha=0.0 beta=0.0
  quant dst=[48] src=[0] n=12 scale=0.0150299072265625 bits=8 sign=unsigned
  send tile=37 tag=0 src=[48] bytes=12 bits=8
segment 0 tile 37
  recv tile=35 tag=0 dst=[0] bytes=12 bits=8 sign=unsigned
  mvm dst=[16] src=[0] matrix=m1 first=0 count=1
  dequant dst=[48] src=[16] factors=c[96] bias=c[124] n=7
  unary dst=[0] src=[48] n=7 fn=relu alpha=0.0 beta=0.0
  send tile=28 tag=1 src=[0] bytes=28 bits=8
  recv tile=28 tag=2 dst=[28] bytes=12 bits=8 sign=unsigned
  quant dst=[40] src=[0] n=10 scale=0.0610504150390625 bits=8 sign=signed
  send tile=28 tag=3 src=[40] bytes=10 bits=8
segment 0 tile 44
  recv tile=28 tag=4 dst=[0] bytes=12 bits=8 sign=unsigned
  mvm dst=[16] src=[0] matrix=m3 first=0 count=1
  dequant dst=[0] src=[16] factors=c[272] bias=c[276] n=1
  unary dst=[8] src=[0] n=1 fn=sigmoid alpha=0.0 beta=0.0
  store port=p0 src=[8] n=1
