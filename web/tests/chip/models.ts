// What tells the simulated chips apart: ids, and where their registers are. Numbers from the technical reference manuals.

export interface Model {
  name: 'ESP32-C3' | 'ESP32-C6';
  /** In the header of every image, and in the answer about security. */
  chipId: number;
  /** What the ROM holds at 0x40001000. */
  magic: number;
  spi: number;
  /** eFuse block 1: MAC, package, revision. */
  efuse: number;
  /** Where the stub may be put. */
  ram: [from: number, to: number][];
  banner: string;
  /** How the strapping pins read in download mode and for a start from flash. */
  strap: { download: string; flash: string };
}

export const C3: Model = {
  name: 'ESP32-C3',
  chipId: 5,
  magic: 0x1b31506f,
  spi: 0x6000_2000,
  efuse: 0x6000_8844,
  ram: [
    [0x3fc8_0000, 0x3fce_0000],
    [0x4037_c000, 0x403e_0000],
  ],
  banner: 'ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n',
  strap: { download: '0x5 (USB_BOOT)', flash: '0xd (SPI_FAST_FLASH_BOOT)' },
};

export const C6: Model = {
  name: 'ESP32-C6',
  chipId: 13,
  magic: 0x2ce0_806f,
  spi: 0x6000_3000,
  efuse: 0x600b_0844,
  ram: [[0x4080_0000, 0x4088_0000]],
  banner: 'ESP-ROM:esp32c6-20220919\r\nBuild:Sep 19 2022\r\n',
  strap: { download: '0x14 (USB_BOOT)', flash: '0x1c (SPI_FAST_FLASH_BOOT)' },
};
