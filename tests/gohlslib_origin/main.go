// A low-latency HLS origin made of somebody else's muxer: gohlslib, which is what MediaMTX serves.
//
// Reads H.264 with access unit delimiters from standard input, one access unit a frame, and serves index.m3u8. Prints the port.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

var delimiter = []byte{0, 0, 0, 1, 9}

// splitAccessUnits is a bufio.SplitFunc: a unit goes from one delimiter to the next.
func splitAccessUnits(data []byte, atEOF bool) (int, []byte, error) {
	if len(data) > len(delimiter) {
		if at := bytes.Index(data[len(delimiter):], delimiter); at >= 0 {
			return at + len(delimiter), data[:at+len(delimiter)], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	if atEOF {
		return 0, nil, io.EOF
	}
	return 0, nil, nil
}

func main() {
	frameRate := flag.Int64("frame-rate", 25, "frames a second")
	segment := flag.Duration("segment", time.Second, "least length of a segment")
	part := flag.Duration("part", 200*time.Millisecond, "least length of a part")
	window := flag.Int("window", 20, "segments listed")
	flag.Parse()

	track := &gohlslib.Track{Codec: &codecs.H264{}, ClockRate: 90000}
	muxer := &gohlslib.Muxer{
		Tracks:             []*gohlslib.Track{track},
		Variant:            gohlslib.MuxerVariantLowLatency,
		SegmentCount:       *window,
		SegmentMinDuration: *segment,
		PartMinDuration:    *part,
	}
	if err := muxer.Start(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() { log.Fatal(http.Serve(listener, http.HandlerFunc(muxer.Handle))) }()

	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<20), 16<<20)
	input.Split(splitAccessUnits)
	for frame := int64(0); input.Scan(); frame++ {
		var unit h264.AnnexB
		if err := unit.Unmarshal(input.Bytes()); err != nil {
			continue
		}
		copied := make([][]byte, len(unit))
		for index, nalu := range unit {
			copied[index] = bytes.Clone(nalu)
		}
		if err := muxer.WriteH264(track, time.Now(), frame*90000 / *frameRate, copied); err != nil {
			log.Print(err)
		}
	}
}
